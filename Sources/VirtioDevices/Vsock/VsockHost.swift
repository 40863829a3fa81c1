// The host's side of the socket device: which host port leads to which Unix stream socket.
//
// Three ways in, all usable from any thread and at any time:
//   expose(port:socket:)    the guest's first connection to a port of CID 2 gets this socket; later ones are refused.
//   connect(port:socket:)   a connection to a port that the guest listens on, with this socket as the host's end.
//   listen(at:)             for programs, by names in the file system: a guest's connection to a port P that nobody exposed leads to the listener at PATH_P;
//                           a program that connects to PATH and writes "CONNECT P\n" is connected to the guest's port P and reads "OK Q\n", Q being the
//                           host's port, before the first byte of the guest; a closed connection instead means that the guest refused.
import Glibc
public import LinuxSystem
import Synchronization

/// Where the guest's vsock connections lead to on the host.
public final class VsockHost: Sendable {
    private struct Table: Sendable {
        var exposed: [UInt32: HostSocket] = [:]
        /// Waiting for the device to take them up.
        var requests: [Request] = []
        var path: String?
        var listener: HostSocket?
    }

    struct Request: Sendable {
        let port: UInt32
        let socket: HostSocket
    }

    private let table = Mutex(Table())
    /// Tells the device that `requests` or `listener` changed.
    let changed: EventFD

    public init() throws(SystemError) { changed = try EventFD() }

    /// Hands `socket`, a connected Unix stream socket, to the guest's first connection to `port`. A socket that waited there is closed.
    public func expose(port: UInt32, socket: consuming OwnedDescriptor) {
        let holder = HostSocket(socket)
        table.withLock { $0.exposed[port] = holder }
    }

    /// Takes back an exposed socket that nobody has connected to; it is closed. False if it was gone.
    @discardableResult
    public func withdraw(port: UInt32) -> Bool { table.withLock { $0.exposed.removeValue(forKey: port) } != nil }

    /// Connects `socket`, a connected Unix stream socket, to the guest's listener on `port`, as soon as the guest has a driver. It is closed if the guest refuses.
    public func connect(port: UInt32, socket: consuming OwnedDescriptor) {
        let request = Request(port: port, socket: HostSocket(socket))
        table.withLock { $0.requests.append(request) }
        changed.signal()
    }

    /// Listens at `path` for programs, and leads guests to the listeners at `path_PORT`. The name is not removed afterwards: it is the caller's.
    public func listen(at path: String) throws(SystemError) {
        let listener = HostSocket(try UnixSocket.listen(at: path))
        table.withLock {
            $0.path = path
            $0.listener = listener
        }
        changed.signal()
    }

    // MARK: The device's side

    /// The host's end for a guest's connection to `port`; nil refuses it.
    func open(port: UInt32) -> HostSocket? {
        let path: String?
        switch table.withLock({ table -> (HostSocket?, String?) in (table.exposed.removeValue(forKey: port), table.path) }) {
        case (let socket?, _): return socket
        case (nil, let found): path = found
        }
        guard let path, let socket = try? UnixSocket.connect(to: "\(path)_\(port)") else { return nil }
        return HostSocket(socket)
    }

    var listener: HostSocket? { table.withLock { $0.listener } }

    func takeRequests() -> [Request] {
        changed.drain()
        return table.withLock { table in
            let requests = table.requests
            table.requests = []
            return requests
        }
    }
}
