// One stream between a guest's vsock and a Unix stream socket.
//
//   guest's REQUEST ──▶ established ◀──RESPONSE── requested ◀── a host program
//                            │
//                            │ guest's SHUTDOWN of both directions
//                            ▼
//                        draining ──all bytes are in the socket, RST is sent──▶ gone        RST from the guest, or a broken rule: gone at once
//
// Half-closes are flags beside the state: each direction ends by itself. End of file from the socket becomes SHUTDOWN(send); the guest's SHUTDOWN(send)
// becomes shutdown(2) of the socket's writing half, after what is still buffered.
import LinuxSystem

/// A descriptor that a dictionary can hold.
final class HostSocket: Sendable {
    let descriptor: OwnedDescriptor
    init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }
    var raw: Int32 { descriptor.raw }
}

final class VsockConnection {
    /// `buf_alloc`: how many bytes from the guest we are ready to hold, and hold at most.
    static let bufferSize = 256 << 10

    enum State {
        /// The host asked; `greeting`: the program waits for "OK PORT\n".
        case requested(greeting: Bool)
        case established
        case draining
    }

    /// Packets that wait for a receive buffer.
    struct Outgoing: OptionSet {
        let rawValue: UInt8
        static let request = Outgoing(rawValue: 1)
        static let response = Outgoing(rawValue: 2)
        static let shutdown = Outgoing(rawValue: 4)
        static let creditUpdate = Outgoing(rawValue: 8)
        static let creditRequest = Outgoing(rawValue: 16)
        static let reset = Outgoing(rawValue: 32)
    }

    let ports: VsockPorts
    let token: UInt64
    let socket: HostSocket
    var state: State
    var outgoing: Outgoing = []
    /// Whether it is in the device's list of senders.
    var isQueued = false

    // Guest to host.
    var pending = ByteRing(limit: VsockConnection.bufferSize)
    /// Bytes that left `pending` or never entered it (`fwd_cnt`), and what the guest was last told.
    var forwarded: UInt32 = 0
    var announced: UInt32 = 0
    /// What the guest has shut down.
    var guestShutdown: VsockShutdown = []
    /// The guest's end of stream has been passed on. Once: each shutdown(2) is an event of its own to the epoll.
    var isFinished = false
    /// The socket takes no more: its reader is gone.
    var isDeaf = false

    // Host to guest.
    /// Until a read finds nothing.
    var mayRead = true
    /// What we have to tell, and have told, the guest about our directions.
    var hostShutdown: VsockShutdown = []
    var toldShutdown: VsockShutdown = []
    /// The socket's other end is closed altogether.
    var isHungUp = false
    private var sent: UInt32 = 0
    private var peerAllocation: UInt32 = 0
    private var peerForwarded: UInt32 = 0
    var hasRequestedCredit = false

    init(ports: VsockPorts, token: UInt64, socket: HostSocket, state: State) {
        self.ports = ports
        self.token = token
        self.socket = socket
        self.state = state
    }

    // MARK: Credit

    /// How many bytes the guest takes now. A guest that says nonsense has no credit.
    var credit: UInt32 {
        let inFlight = sent &- peerForwarded
        return inFlight >= peerAllocation ? 0 : peerAllocation - inFlight
    }

    func learn(_ header: VsockHeader) {
        peerAllocation = header.bufferAllocation
        peerForwarded = header.forwardedCount
        if credit > 0 { hasRequestedCredit = false }
    }

    func countSent(_ bytes: Int) { sent &+= UInt32(bytes) }

    /// Bytes of the guest have left us. It hears of it when a quarter of the buffer is free again that it thinks is taken.
    func countForwarded(_ bytes: Int) {
        forwarded &+= UInt32(bytes)
        if forwarded &- announced >= UInt32(VsockConnection.bufferSize / 4) { outgoing.insert(.creditUpdate) }
    }

    // MARK: What to send next

    var isEstablished: Bool {
        if case .established = state { true } else { false }
    }

    /// Whether the socket may have bytes for the guest, and the guest wants them.
    var wantsRead: Bool {
        isEstablished && mayRead && !hostShutdown.contains(.send) && !guestShutdown.contains(.receive)
    }

    /// Whether a receive buffer would be used. Bytes without credit become one CREDIT_REQUEST.
    func prepareToSend() -> Bool {
        if wantsRead, credit == 0, !hasRequestedCredit {
            hasRequestedCredit = true
            outgoing.insert(.creditRequest)
        }
        return !outgoing.isEmpty || (wantsRead && credit > 0)
    }

    /// A direction of ours has ended; the guest is told once.
    func shutDown(_ directions: VsockShutdown) {
        hostShutdown.formUnion(directions)
        if !hostShutdown.subtracting(toldShutdown).isEmpty { outgoing.insert(.shutdown) }
    }
}
