// virtio over MMIO, version 2: virtio 1.2 §4.2.
//
// vCPU threads come in by `read` and `write`, the event loop by `notify` and `hostReady`; one mutex keeps them apart. A vCPU never serves a queue: its
// QueueNotify signals the queue's eventfd, as KVM's ioeventfd does without leaving the kernel.
public import AddressSpace
public import LinuxSystem
import Synchronization

/// A virtio device's registers in guest-physical memory.
public final class MMIOTransport: BusDevice {
    /// The bytes that the registers take on the bus; they begin at a multiple of it.
    public static let regionSize: UInt64 = 0x1000
    /// Where, from the region's start, KVM's ioeventfds listen (4 bytes, datamatch: the queue's index).
    public static let queueNotifyOffset: UInt64 = Register.queueNotify.rawValue

    /// One per queue. On readiness the event loop calls `notify`.
    public let queueEvents: [QueueEvent]
    /// On readiness (level-triggered) the event loop calls `hostReady`; nil if the device has no host side of its own.
    public let pollDescriptor: Int32?

    private let traits: DeviceTraits
    private let line: InterruptLine
    private let guarded: Mutex<TransportCore>

    /// `interrupt` injects the device's interrupt, an edge per call; it is called from any thread. So is `hostFailed`, where the host fails the device itself: drivers don't
    /// recover from that, and wait for ever.
    public init(
        device: sending any VirtioDevice, memory: GuestMemory, hostFailed: @escaping @Sendable (SystemError) -> Void = { _ in },
        interrupt: @escaping @Sendable () -> Void
    ) throws(SystemError) {
        let traits = device.traits
        let line = InterruptLine(deliver: interrupt)
        var events: [QueueEvent] = []
        for _ in traits.queueSizes { events.append(try QueueEvent()) }
        queueEvents = events
        pollDescriptor = traits.pollDescriptor
        self.traits = traits
        self.line = line
        guarded = Mutex(TransportCore(device: device, traits: traits, memory: memory, line: line, hostFailed: hostFailed))
    }

    // MARK: Bus

    /// Registers answer aligned 32-bit accesses only, the configuration space every one.
    public func read(offset: UInt64, size: Int) -> UInt64 {
        if offset >= MMIOTransport.configurationStart {
            let position = Int(offset - MMIOTransport.configurationStart)
            return guarded.withLock { $0.device.readConfiguration(offset: position, size: size) }
        }
        guard size == 4, let register = Register(rawValue: offset) else { return 0 }
        switch register {
        case .magicValue: return 0x7472_6976
        case .version: return 2
        case .deviceID: return UInt64(traits.id)
        case .vendorID: return 0x544C_4657
        case .interruptStatus: return UInt64(line.status)
        case .configurationGeneration: return UInt64(line.generation)
        case .sharedMemoryLengthLow, .sharedMemoryLengthHigh, .sharedMemoryBaseLow, .sharedMemoryBaseHigh: return 0xFFFF_FFFF
        default: return UInt64(guarded.withLock { $0.read(register) })
        }
    }

    public func write(offset: UInt64, size: Int, value: UInt64) {
        if offset >= MMIOTransport.configurationStart {
            let position = Int(offset - MMIOTransport.configurationStart)
            guarded.withLock { $0.device.writeConfiguration(offset: position, size: size, value: value) }
            return
        }
        guard size == 4, let register = Register(rawValue: offset) else { return }
        let value = UInt32(truncatingIfNeeded: value)
        switch register {
        case .interruptAcknowledge: line.acknowledge(value)
        case .queueNotify: if value < UInt32(queueEvents.count) { queueEvents[Int(value)].event.signal() }
        default: guarded.withLock { $0.write(register, value) }
        }
    }

    private static let configurationStart: UInt64 = 0x100

    // MARK: Event loop

    /// Serves queue `index`: its event is drained first, so that a notification that comes meanwhile is seen again.
    public func notify(queue index: Int) {
        guard queueEvents.indices.contains(index) else { return }
        queueEvents[index].event.drain()
        let progress = guarded.withLock { $0.enter { (device) throws(VirtioError) in try device.queueNotified(index) } }
        if case .more = progress { queueEvents[index].event.signal() }
    }

    /// Serves the device's host side.
    public func hostReady() {
        let progress = guarded.withLock { $0.enter { (device) throws(VirtioError) in try device.hostReady() } }
        if case .more = progress, let first = queueEvents.first { first.event.signal() }
    }

    /// Serves every queue and the host side, as if all had been notified: for a VM that ended with notifications that nobody has seen.
    public func serveAll() {
        for index in queueEvents.indices { notify(queue: index) }
        if pollDescriptor != nil { hostReady() }
    }

    /// What the driver does by writing 0 to Status, for a VM that has ended: the device gives up its host side's connections.
    public func reset() { guarded.withLock { $0.write(.status, 0) } }

    // MARK: Inspection

    /// Why the device needs a reset, while it does.
    public var failure: VirtioError? {
        guarded.withLock { if case .needsReset(let error) = $0.state { error } else { nil } }
    }

    /// Looks at the device, for its metrics and failures.
    public func withDevice<Result: Sendable>(_ body: (any VirtioDevice) -> Result) -> Result {
        guarded.withLock { body($0.device) }
    }
}
