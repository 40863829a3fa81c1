// The agent's control connection, host side: frames in and out of a non-blocking socket.
import AgentProtocol
import CLinux
import Glibc
import LinuxSystem
import VMM
import Wire

/// Why the agent can't be talked to any longer.
enum ControlError: Error, CustomStringConvertible {
    case closed
    case malformed(WireError)
    case system(SystemError)

    var description: String {
        switch self {
        case .closed: "the guest's agent closed its connection"
        case .malformed: "the guest's agent sent a message that makes no sense"
        case .system(let error): "\(error)"
        }
    }
}

final class ControlChannel {
    private let socket: OwnedDescriptor
    private var reader = FrameReader()
    private var unsent: [UInt8] = []
    private let loop: EventLoop
    private let failed: (ControlError) -> Void
    private var isOver = false

    /// `received` is called for each message, `failed` once when the connection is over.
    init(
        _ socket: consuming OwnedDescriptor, on loop: EventLoop, received: @escaping (AgentMessage) -> Void,
        failed: @escaping (ControlError) -> Void
    ) throws(SystemError) {
        self.socket = socket
        self.loop = loop
        self.failed = failed
        try loop.add(self.socket.raw, .readable) { [unowned self] ready in
            do throws(ControlError) {
                if ready.contains(.writable) { try flush() }
                if !ready.isDisjoint(with: [.readable, .hangUp, .error]) { try receive(received) }
            } catch { end(error) }
        }
    }

    /// The connection that `machine`'s agent is going to open.
    static func exposed(
        by machine: MicroVM, received: @escaping (AgentMessage) -> Void, failed: @escaping (ControlError) -> Void
    ) throws -> ControlChannel {
        let pair = try OwnedDescriptor.socketPair(nonBlocking: true)
        try machine.expose(port: AgentProtocol.controlPort, socket: pair.second)
        return try ControlChannel(pair.first, on: machine.eventLoop, received: received, failed: failed)
    }

    /// Queues bytes of whole frames and sends what the socket takes.
    func send(_ bytes: [UInt8]) {
        unsent += bytes
        do throws(ControlError) { try flush() } catch { end(error) }
    }

    private func end(_ error: ControlError) {
        if isOver { return }
        isOver = true
        loop.remove(socket.raw)
        failed(error)
    }

    private func flush() throws(ControlError) {
        while !unsent.isEmpty {
            // SAFETY: the pointer is to the array's storage, for the call only.
            let count = unsafe unsent.withUnsafeBytes { unsafe Glibc.send(socket.raw, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if count < 0 {
                if clinux_errno() == EINTR { continue }
                if clinux_errno() == EAGAIN { break }
                throw .closed
            }
            unsent.removeFirst(count)
        }
        do throws(SystemError) {
            try loop.modify(socket.raw, unsent.isEmpty ? .readable : [.readable, .writable])
        } catch { throw .system(error) }
    }

    private func receive(_ received: (AgentMessage) -> Void) throws(ControlError) {
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            // SAFETY: recv writes at most the array's count.
            let count = unsafe chunk.withUnsafeMutableBytes { unsafe recv(socket.raw, $0.baseAddress, $0.count, 0) }
            if count == 0 { throw .closed }
            if count < 0 {
                if clinux_errno() == EINTR { continue }
                if clinux_errno() == EAGAIN { return }
                throw .closed
            }
            reader.append(chunk[..<count])
            do throws(WireError) {
                while let frame = try reader.next() { received(try AgentMessage(frame)) }
            } catch { throw .malformed(error) }
        }
    }
}
