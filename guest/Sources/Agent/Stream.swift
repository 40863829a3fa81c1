// Bytes between a container's pipes or terminal and the host: non-blocking on both sides, in order, with backpressure and half-close.
internal import GuestSystem

/// A descriptor in the poller, edge-triggered: what is believed about it holds until a call says otherwise.
final class Endpoint {
    let descriptor: OwnedDescriptor
    /// A socket's other direction stays open when writing ends.
    let isSocket: Bool
    fileprivate var isReadable: Bool
    fileprivate var isWritable: Bool

    init(_ descriptor: consuming OwnedDescriptor, isSocket: Bool, isConnecting: Bool = false) {
        descriptor.setNonBlocking()
        self.descriptor = descriptor
        self.isSocket = isSocket
        // The poller reports what is readable when it is told of the descriptor.
        isReadable = false
        isWritable = !isConnecting
    }

    func note(_ event: PollEvent) {
        if event.isReadable { isReadable = true }
        if event.isWritable { isWritable = true }
    }
}

/// One direction: everything that `source` gives goes to `sink`.
final class Relay {
    /// What one read asks for: a pipe's whole capacity.
    static let bufferLength = 64 << 10
    /// Rounds before others get their turn.
    static let roundLimit = 16

    private let source: Endpoint
    private let sink: Endpoint
    /// Allocated with the first bytes: most standard errors never have any.
    private var buffer: [UInt8] = []
    private var pending = 0..<0
    private var hasEnded = false
    /// Nothing more will come once the source is empty: its writers are dead.
    var endsWhenEmpty = false
    /// Everything was handed over, or nobody takes it any more.
    private(set) var isDone = false

    init(from source: Endpoint, to sink: Endpoint) {
        self.source = source
        self.sink = sink
    }

    var endpoints: [Endpoint] { [source, sink] }

    /// Moves what can be moved. True if there is more to do at once.
    func pump() -> Bool {
        if isDone { return false }
        for _ in 0..<Relay.roundLimit {
            let moved: Bool
            do throws(SystemError) {
                moved = pending.isEmpty ? try read() : try write()
            } catch {
                // The sink is gone (EPIPE, ECONNRESET): the source must notice.
                isDone = true
                return false
            }
            if isDone || !moved { return false }
        }
        return true
    }

    private func read() throws(SystemError) -> Bool {
        if hasEnded {
            if sink.isSocket { Machine.endWriting(sink.descriptor.raw) }
            isDone = true
            return false
        }
        guard source.isReadable else { return false }
        if buffer.isEmpty { buffer = [UInt8](repeating: 0, count: Relay.bufferLength) }
        let count: Int
        do { count = try InputOutput.read(source.descriptor.raw, into: &buffer, count: Relay.bufferLength) } catch {
            if error == .wouldBlock {
                source.isReadable = false
                hasEnded = endsWhenEmpty
                return hasEnded
            }
            // A terminal whose last user is gone gives EIO; whatever else it is, nothing more comes.
            count = 0
        }
        hasEnded = count == 0
        pending = 0..<count
        return true
    }

    private func write() throws(SystemError) -> Bool {
        guard sink.isWritable else { return false }
        do {
            let count = try InputOutput.write(sink.descriptor.raw, buffer, pending)
            pending = pending.lowerBound + count..<pending.upperBound
            return true
        } catch {
            guard error == .wouldBlock else { throw error }
            sink.isWritable = false
            return false
        }
    }
}
