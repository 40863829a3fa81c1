// The OCI commands' way to a container that runs without them (docs/adr/0017): a socket of packets, a request and its answer on each connection.
import Glibc
import LaunchConfiguration
import LinuxSystem
import VMM
import Wire

final class ControlSocket {
    /// One command's.
    final class Connection {
        fileprivate let socket: PacketSocket
        /// Of a process that it wants to execute, in their order.
        var streams: [SharedDescriptor] = []
        /// The process that it has executed.
        var process: UInt32?

        fileprivate init(_ socket: PacketSocket) { self.socket = socket }

        /// A command that has gone doesn't want to know.
        func answer(_ reply: ControlReply) { try? socket.send(reply.wireBytes) }
    }

    /// More at once are sent away.
    private static let connectionLimit = 256

    private let listener: OwnedDescriptor
    private let owner: UInt32
    private let loop: EventLoop
    private let received: (ControlRequest, SharedDescriptor?, Connection) -> Void
    private let closed: (Connection) -> Void
    private var connections: [Connection] = []

    /// `received` is called for each request, with what came along; `closed` when a connection is over. Only the user `owner` is listened to.
    init(
        _ listener: consuming OwnedDescriptor, of owner: UInt32, on loop: EventLoop,
        received: @escaping (ControlRequest, SharedDescriptor?, Connection) -> Void, closed: @escaping (Connection) -> Void
    ) throws(SystemError) {
        self.listener = listener
        self.owner = owner
        self.loop = loop
        self.received = received
        self.closed = closed
        try loop.add(self.listener.raw, .readable) { [unowned self] _ in accept() }
    }

    private func accept() {
        guard let (socket, user) = try? UnixSocket.acceptPackets(on: listener.raw, limit: ControlRequest.sizeLimit), user == owner,
            connections.count < Self.connectionLimit
        else { return }
        let connection = Connection(socket)
        do throws(SystemError) {
            try loop.add(connection.socket.raw, .readable) { [unowned self, unowned connection] _ in receive(connection) }
            connections.append(connection)
        } catch {}
    }

    private func receive(_ connection: Connection) {
        if let packet = try? connection.socket.receive(), let request = try? ControlRequest(wireBytes: packet.bytes) {
            return received(request, packet.file, connection)
        }
        // Gone, or nothing that a command of ours would say.
        loop.remove(connection.socket.raw)
        connections.removeAll { $0 === connection }
        closed(connection)
    }
}
