// The virtio socket device: virtio 1.2 §5.10, streams, inside the VMM's process.
//
// Payload never rests here if it can help it: what the guest sends goes from its RAM to the Unix socket by one system call, and what the host sends is
// received right into the guest's buffers. Only bytes that a socket doesn't take are copied, and their number is bounded by the credit we gave.
//
// One epoll watches all sockets, edge-triggered: each connection remembers whether it may read, so a guest without credit or buffers costs no wake-up.
public import LinuxSystem
public import Virtio

/// Stream sockets between the guest (CID 3) and the host (CID 2).
public final class Vsock: VirtioDevice {
    enum Queue {
        static let receive = 0
        static let transmit = 1
        static let event = 2
    }

    public static let hostCID: UInt64 = 2
    /// In both directions together, established or not.
    public static let connectionLimit = 512
    /// How many turns may wait for a receive buffer; when so many do, packets of the guest wait too, as each can cost an answer.
    static let senderLimit = connectionLimit + 64
    /// Packets in one direction before others get their turn.
    static let turn = 128

    /// Who waits for a receive buffer, in the order of their turns.
    enum Sender {
        /// By its token: a connection that has ended meanwhile is not found any more.
        case connection(UInt64)
        /// An answer to a packet that belongs to no connection.
        case reset(VsockPorts)
    }

    /// What an epoll token stands for.
    enum Source {
        case connection(VsockConnection)
        case handshake(HostSocket)
    }

    enum Token {
        static let changed: UInt64 = 0
        static let listener: UInt64 = 1
        static let first: UInt64 = 2
    }

    public let guestCID: UInt64
    public let traits: DeviceTraits
    let host: VsockHost
    let epoll: Epoll
    private let configuration: ConfigurationSpace
    var queues: [SplitQueue] = []
    var connections: [VsockPorts: VsockConnection] = [:]
    var sources: [UInt64: Source] = [:]
    var senders = FIFO<Sender>()
    /// Packets of the guest wait because there were too many senders.
    var transmitIsBlocked = false
    var nextToken = Token.first
    var nextHostPort: UInt32 = 1 << 30
    /// The listener that the epoll watches.
    var watchedListener: HostSocket?
    public internal(set) var metrics = VsockMetrics()

    /// A device whose connections lead where `host` says.
    public init(guestCID: UInt64 = 3, host: VsockHost) throws(SystemError) {
        let epoll = try Epoll()
        traits = DeviceTraits(id: 19, features: 0, queueSizes: [64, 64, 8], pollDescriptor: epoll.descriptor.raw)
        self.guestCID = guestCID
        self.host = host
        self.epoll = consume epoll
        var space = ConfigurationSpace()
        space.append(guestCID)
        configuration = space
    }

    /// Bytes from the guest that sockets haven't taken yet. Whoever ends the VM lets the event loop run until there are none, or they are lost.
    public var waitingBytes: Int { connections.values.reduce(0) { $0 + $1.pending.count } }

    public func readConfiguration(offset: Int, size: Int) -> UInt64 { configuration.read(offset: offset, size: size) }

    public func writeConfiguration(offset: Int, size: Int, value: UInt64) {}

    public func activate(_ activation: Activation) throws(VirtioError) {
        queues = activation.queues
        // Watched only now: what nobody can take up must not keep the event loop awake.
        do throws(SystemError) {
            try epoll.add(host.changed.raw, [.readable, .edgeTriggered], token: Token.changed)
        } catch { throw .host(error) }
        try takeUpHost()
    }

    public func queueNotified(_ index: Int) throws(VirtioError) -> Progress {
        switch index {
        case Queue.receive:
            let progress = try sendPending()
            return transmitIsBlocked ? try receivePackets() : progress
        case Queue.transmit: return try receivePackets()
        // The event queue's buffers wait for a VIRTIO_VSOCK_EVENT_TRANSPORT_RESET, which only a restored snapshot needs.
        default: return .idle
        }
    }

    public func hostReady() throws(VirtioError) -> Progress {
        var ready: [Epoll.Event] = []
        do throws(SystemError) {
            try epoll.wait(timeout: 0) { ready.append($0) }
        } catch { throw .host(error) }
        for event in ready { try react(to: event) }
        return try sendPending()
    }

    private func react(to event: Epoll.Event) throws(VirtioError) {
        switch event.token {
        case Token.changed: try takeUpHost()
        case Token.listener: acceptPrograms()
        default:
            switch sources[event.token] {
            case .connection(let connection): socketReady(connection, event.ready)
            case .handshake(let socket): try readHandshake(socket, token: event.token)
            // Of a connection that an earlier event of this batch ended.
            case nil: break
            }
        }
    }

    public func reset() {
        queues = []
        epoll.remove(host.changed.raw)
        if let watchedListener { epoll.remove(watchedListener.raw) }
        watchedListener = nil
        for connection in connections.values {
            // The last chance of what a full socket left behind.
            if connection.pending.count > 0 { _ = connection.pending.send(to: connection.socket.raw) }
            epoll.remove(connection.socket.raw)
        }
        for case .handshake(let socket) in sources.values { epoll.remove(socket.raw) }
        connections = [:]
        sources = [:]
        senders = FIFO()
        transmitIsBlocked = false
    }

    // MARK: Connections

    /// Registers a connection. Where the host refuses to watch the socket, the device has failed: what a stream brings would be lost, and nobody would know.
    func add(_ ports: VsockPorts, _ socket: HostSocket, _ state: VsockConnection.State) throws(VirtioError) -> VsockConnection {
        let token = nextToken
        nextToken += 1
        do throws(SystemError) {
            try epoll.add(socket.raw, [.readable, .writable, .peerClosed, .edgeTriggered], token: token)
        } catch { throw .host(error) }
        let connection = VsockConnection(ports: ports, token: token, socket: socket, state: state)
        connections[ports] = connection
        sources[token] = .connection(connection)
        metrics.opened += 1
        return connection
    }

    /// Forgets a connection and closes its socket.
    func remove(_ connection: VsockConnection) {
        epoll.remove(connection.socket.raw)
        sources[connection.token] = nil
        connections[connection.ports] = nil
    }

    func isLive(_ connection: VsockConnection) -> Bool { sources[connection.token] != nil }

    func merge(_ first: Progress, _ second: Progress) -> Progress {
        if case .more = first { .more } else { second }
    }
}
