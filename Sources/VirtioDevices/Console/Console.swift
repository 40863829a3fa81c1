// The virtio console device: virtio 1.2 §5.3, one port.
public import LinuxSystem
public import Virtio

/// A terminal's size in characters.
public struct ConsoleSize: Equatable, Sendable {
    public let columns: UInt16
    public let rows: UInt16

    public init(columns: UInt16, rows: UInt16) {
        self.columns = columns
        self.rows = rows
    }
}

/// `hvc0`: bytes to a closure, bytes from a descriptor.
public final class Console: VirtioDevice {
    private enum Queue {
        static let receive = 0
        static let transmit = 1
    }

    /// Bytes handed to `output` at once.
    private static let chunk = 4096
    /// Bytes taken from the guest before others get their turn.
    private static let turn = 256 << 10

    public let traits: DeviceTraits
    private let configuration: ConfigurationSpace
    private let output: ([UInt8]) -> Void
    private var input: Input
    private let epoll: Epoll?
    private var queues: [SplitQueue] = []
    public private(set) var metrics = ConsoleMetrics()

    /// Where the guest's input comes from.
    private enum Input {
        case none
        /// Open; `ready` until a read finds nothing.
        case open(InputSource, ready: Bool)
        /// At its end, or failed.
        case ended
    }

    private final class InputSource {
        let descriptor: OwnedDescriptor
        init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }
    }

    /// A console whose output goes to `output`, on the thread of the event loop, in pieces of at most 4096 bytes.
    public init(size: ConsoleSize? = nil, output: @escaping @Sendable ([UInt8]) -> Void) {
        var space = ConfigurationSpace()
        space.append(size?.columns ?? 0)
        space.append(size?.rows ?? 0)
        configuration = space
        self.output = output
        input = .none
        epoll = nil
        traits = DeviceTraits(id: 3, features: size == nil ? 0 : 1, queueSizes: [64, 64])
    }

    /// The same with input from `input`, a pipe, socket or terminal, which becomes non-blocking.
    public init(
        size: ConsoleSize? = nil, input: consuming OwnedDescriptor, output: @escaping @Sendable ([UInt8]) -> Void
    ) throws(SystemError) {
        var space = ConfigurationSpace()
        space.append(size?.columns ?? 0)
        space.append(size?.rows ?? 0)
        configuration = space
        self.output = output
        try input.setNonBlocking()
        let epoll = try Epoll()
        traits = DeviceTraits(id: 3, features: size == nil ? 0 : 1, queueSizes: [64, 64], pollDescriptor: epoll.descriptor.raw)
        self.epoll = consume epoll
        self.input = .open(InputSource(input), ready: true)
    }

    public func readConfiguration(offset: Int, size: Int) -> UInt64 { configuration.read(offset: offset, size: size) }

    /// VIRTIO_CONSOLE_F_EMERG_WRITE isn't offered.
    public func writeConfiguration(offset: Int, size: Int, value: UInt64) {}

    public func activate(_ activation: Activation) throws(VirtioError) {
        queues = activation.queues
        guard case .open(let source, _) = input else { return }
        // Edge-triggered, and only from now on: input that the guest has no buffer for must not keep the event loop awake.
        do throws(SystemError) {
            try epoll?.add(source.descriptor.raw, [.readable, .edgeTriggered], token: 0)
        } catch { throw .host(error) }
    }

    public func queueNotified(_ index: Int) throws(VirtioError) -> Progress {
        guard queues.indices.contains(index) else { return .idle }
        return index == Queue.transmit ? try transmit(queues[index]) : try receive()
    }

    public func hostReady() throws(VirtioError) -> Progress {
        do throws(SystemError) {
            try epoll?.wait(timeout: 0) { _ in
                if case .open(let source, _) = input { input = .open(source, ready: true) }
            }
        } catch { throw .host(error) }
        return try receive()
    }

    private func transmit(_ queue: SplitQueue) throws(VirtioError) -> Progress {
        var budget = Console.turn
        let progress = try queue.serve(atMost: 64) { (chain) throws(VirtioError) in
            // A chain larger than a turn is output that the driver doesn't produce; the rest of it is dropped.
            guard budget > 0 else { return .putBack }
            var reader = chain.reader
            reader.limit(to: UInt64(Console.turn))
            while reader.remaining > 0 {
                let bytes = try reader.bytes(Console.chunk)
                budget -= bytes.count
                metrics.bytesOut += UInt64(bytes.count)
                output(bytes)
            }
            return .used(0)
        }
        return budget > 0 ? progress : .more
    }

    private func receive() throws(VirtioError) -> Progress {
        guard case .open(let source, true) = input else { return .idle }
        return try queues[Queue.receive].serve(atMost: 64) { (chain) throws(VirtioError) in
            var writer = chain.writer
            guard writer.remaining > 0 else { return .used(0) }
            switch try writer.read(from: source.descriptor.raw) {
            case .moved(let count) where count > 0:
                metrics.bytesIn += UInt64(count)
                return .used(UInt32(count))
            case .wouldBlock: input = .open(source, ready: false)
            case .moved, .failed: input = .ended
            }
            return .putBack
        }
    }

    public func reset() {
        queues = []
        if case .open(let source, _) = input {
            epoll?.remove(source.descriptor.raw)
            input = .open(source, ready: true)
        }
    }
}
