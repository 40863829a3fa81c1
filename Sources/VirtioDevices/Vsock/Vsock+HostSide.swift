// What the device's epoll reports: sockets of connections, programs that want to connect, and changes of VsockHost.
import CLinux
import Glibc
import LinuxSystem
import Virtio

extension Vsock {
    /// The longest line a program may send first: "CONNECT 4294967295\n".
    private static let handshakeLimit = 32

    /// A connection's socket has become readable, writable, or lost its other end.
    func socketReady(_ connection: VsockConnection, _ ready: Epoll.Interest) {
        if !ready.isDisjoint(with: [.readable, .peerClosed, .hangUp, .error]) { connection.mayRead = true }
        if !ready.isDisjoint(with: [.hangUp, .error]) {
            connection.isHungUp = true
            // Unless what the other end wrote before is still to be read.
            if connection.hostShutdown.contains(.send) || connection.guestShutdown.contains(.receive) { connection.shutDown(.both) }
        }
        if !ready.isDisjoint(with: [.writable, .hangUp, .error]) { flush(connection) }
        enqueue(connection)
    }

    // MARK: Connections that the host begins

    /// Takes up what VsockHost was asked for since the last look, if there is a driver to take it to.
    func takeUpHost() throws(VirtioError) {
        guard !queues.isEmpty else { return }
        for request in host.takeRequests() { try connect(request.socket, guestPort: request.port, greeting: false) }
        guard let listener = host.listener, listener !== watchedListener else { return }
        do throws(SystemError) {
            try epoll.add(listener.raw, [.readable], token: Token.listener)
        } catch { throw .host(error) }
        watchedListener = listener
    }

    private func connect(_ socket: HostSocket, guestPort: UInt32, greeting: Bool) throws(VirtioError) {
        guard connections.count < Vsock.connectionLimit, let port = freeHostPort(to: guestPort) else {
            metrics.refused += 1
            return
        }
        let connection = try add(VsockPorts(host: port, guest: guestPort), socket, .requested(greeting: greeting))
        connection.outgoing.insert(.request)
        enqueue(connection)
    }

    /// One of the upper ports; there are more of them than connections.
    private func freeHostPort(to guestPort: UInt32) -> UInt32? {
        for _ in 0...Vsock.connectionLimit {
            let port = nextHostPort
            nextHostPort = port < UInt32.max - 1 ? port + 1 : 1 << 30
            if connections[VsockPorts(host: port, guest: guestPort)] == nil { return port }
        }
        return nil
    }

    // MARK: Programs

    /// Accepts what waits. Whoever comes while there are too many is turned away by closing.
    func acceptPrograms() {
        guard let listener = watchedListener else { return }
        while true {
            let raw = clinux_accept(listener.raw)
            guard raw >= 0 else { return }
            let socket = HostSocket(OwnedDescriptor(owning: raw))
            let token = nextToken
            nextToken += 1
            guard sources.count < 2 * Vsock.connectionLimit,
                (try? epoll.add(raw, [.readable, .peerClosed, .edgeTriggered], token: token)) != nil
            else { continue }
            sources[token] = .handshake(socket)
        }
    }

    /// Reads "CONNECT PORT\n" and not a byte more: what follows is for the guest.
    func readHandshake(_ socket: HostSocket, token: UInt64) throws(VirtioError) {
        var line = [UInt8](repeating: 0, count: Vsock.handshakeLimit)
        let seen = receive(socket.raw, &line, line.count, Int32(MSG_PEEK))
        if seen < 0, clinux_errno() == EAGAIN { return }
        guard seen > 0 else { return drop(socket, token) }
        guard let end = line[..<seen].firstIndex(of: 0x0A) else {
            if seen == line.count { drop(socket, token) }
            return
        }
        guard receive(socket.raw, &line, end + 1, 0) == end + 1, let port = Vsock.guestPort(line[..<end]) else {
            return drop(socket, token)
        }
        drop(socket, token)
        try connect(socket, guestPort: port, greeting: true)
    }

    private func drop(_ socket: HostSocket, _ token: UInt64) {
        epoll.remove(socket.raw)
        sources[token] = nil
    }

    private func receive(_ socket: Int32, _ buffer: inout [UInt8], _ count: Int, _ flags: Int32) -> Int {
        // SAFETY: the kernel writes at most `count` bytes, which the array has.
        unsafe buffer.withUnsafeMutableBytes { unsafe recv(socket, $0.baseAddress, min(count, $0.count), flags | Int32(MSG_DONTWAIT)) }
    }

    /// The number behind "CONNECT "; nil for anything else.
    static func guestPort(_ line: ArraySlice<UInt8>) -> UInt32? {
        let command = Array("CONNECT ".utf8)
        guard line.starts(with: command) else { return nil }
        let digits = line.dropFirst(command.count)
        guard !digits.isEmpty, digits.count <= 10, digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return UInt32(exactly: digits.reduce(UInt64(0)) { $0 * 10 + UInt64($1 - 0x30) })
    }
}
