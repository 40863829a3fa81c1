// A driver for tests: it drives a transport's registers in the order in which Linux's virtio_mmio does, and runs what the VMM's event loop would run.
public import AddressSpace
import LinuxSystem
import Synchronization
public import Virtio

/// Register offsets that tests name (virtio 1.2 §4.2.2).
public enum MMIO {
    public static let magic: UInt64 = 0x000
    public static let version: UInt64 = 0x004
    public static let deviceID: UInt64 = 0x008
    public static let deviceFeatures: UInt64 = 0x010
    public static let deviceFeaturesSelect: UInt64 = 0x014
    public static let driverFeatures: UInt64 = 0x020
    public static let driverFeaturesSelect: UInt64 = 0x024
    public static let queueSelect: UInt64 = 0x030
    public static let queueNumMax: UInt64 = 0x034
    public static let queueNum: UInt64 = 0x038
    public static let queueReady: UInt64 = 0x044
    public static let queueNotify: UInt64 = 0x050
    public static let interruptStatus: UInt64 = 0x060
    public static let interruptAcknowledge: UInt64 = 0x064
    public static let status: UInt64 = 0x070
    public static let queueDescLow: UInt64 = 0x080
    public static let queueDriverLow: UInt64 = 0x090
    public static let queueDeviceLow: UInt64 = 0x0A0
    public static let configurationGeneration: UInt64 = 0x0FC
    public static let configuration: UInt64 = 0x100
}

/// Status bits (§2.1).
public enum Status {
    public static let acknowledge: UInt32 = 1
    public static let driver: UInt32 = 2
    public static let driverOk: UInt32 = 4
    public static let featuresOk: UInt32 = 8
    public static let needsReset: UInt32 = 64
    public static let failed: UInt32 = 128
    /// A device at work.
    public static let live: UInt32 = 15
}

/// Ring features (§6).
public enum Feature {
    public static let indirect: UInt64 = 1 << 28
    public static let eventIndex: UInt64 = 1 << 29
    public static let version1: UInt64 = 1 << 32
}

/// Counts interrupts.
public final class InterruptCounter: Sendable {
    private let value = Atomic<Int>(0)
    public init() {}
    public func raise() { value.wrappingAdd(1, ordering: .relaxed) }
    public var count: Int { value.load(ordering: .relaxed) }
}

public final class MockDriver {
    public let memory: GuestMemory
    public let transport: MMIOTransport
    public let interrupts: InterruptCounter
    /// How often the transport said that the host failed the device.
    public let hostFailures: InterruptCounter
    public private(set) var queues: [MockQueue] = []
    private let epoll: Epoll
    private var free: UInt64 = firstFree

    /// Below it lies nothing that the driver allocates, so that a test can have addresses of its own.
    public static let firstFree: UInt64 = 0x10000

    public convenience init(_ device: sending any VirtioDevice, memory size: UInt64 = 8 << 20) throws {
        try self.init(device, in: try GuestMemory(size: size))
    }

    /// A driver beside others of the same machine.
    public init(_ device: sending any VirtioDevice, in memory: GuestMemory) throws {
        self.memory = memory
        let interrupts = InterruptCounter()
        self.interrupts = interrupts
        let hostFailures = InterruptCounter()
        self.hostFailures = hostFailures
        let transport = try MMIOTransport(device: device, memory: memory, hostFailed: { _ in hostFailures.raise() }) { interrupts.raise() }
        self.transport = transport
        let epoll = try Epoll()
        for (index, event) in transport.queueEvents.enumerated() { try epoll.add(event.raw, .readable, token: UInt64(index)) }
        if let descriptor = transport.pollDescriptor { try epoll.add(descriptor, .readable, token: .max) }
        self.epoll = consume epoll
    }

    // MARK: Registers

    public func read(_ register: UInt64) -> UInt32 { UInt32(transport.read(offset: register, size: 4)) }

    public func write(_ register: UInt64, _ value: UInt32) { transport.write(offset: register, size: 4, value: UInt64(value)) }

    public func write64(_ low: UInt64, _ value: UInt64) {
        write(low, UInt32(truncatingIfNeeded: value))
        write(low + 4, UInt32(truncatingIfNeeded: value >> 32))
    }

    public var status: UInt32 {
        get { read(MMIO.status) }
        set { write(MMIO.status, newValue) }
    }

    public var offeredFeatures: UInt64 {
        var features: UInt64 = 0
        for half in 0..<2 {
            write(MMIO.deviceFeaturesSelect, UInt32(half))
            features |= UInt64(read(MMIO.deviceFeatures)) << UInt64(32 * half)
        }
        return features
    }

    public func accept(_ features: UInt64) {
        for half in 0..<2 {
            write(MMIO.driverFeaturesSelect, UInt32(half))
            write(MMIO.driverFeatures, UInt32(truncatingIfNeeded: features >> UInt64(32 * half)))
        }
    }

    // MARK: Life

    /// Forgets queues and buffers, and resets the device.
    public func reset() {
        status = 0
        queues = []
        free = MockDriver.firstFree
    }

    /// Up to and including FEATURES_OK; false if the device refused.
    @discardableResult
    public func negotiate(_ features: UInt64) -> Bool {
        status = Status.acknowledge
        status = Status.acknowledge | Status.driver
        accept(features)
        status = Status.acknowledge | Status.driver | Status.featuresOk
        return status & Status.featuresOk != 0
    }

    /// Resets the device, accepts what it offers except `without`, sets all queues up and sets DRIVER_OK; the status then.
    @discardableResult
    public func start(without: UInt64 = 0, queueSize: UInt16? = nil) throws -> UInt32 {
        reset()
        let features = offeredFeatures & ~without
        guard negotiate(features) else { return status }
        for index in transport.queueEvents.indices {
            write(MMIO.queueSelect, UInt32(index))
            let size = min(UInt16(read(MMIO.queueNumMax)), queueSize ?? .max)
            let layout = allocateQueue(size)
            install(layout, queue: index)
            queues.append(try MockQueue(driver: self, index: index, layout: layout, eventIndex: features & Feature.eventIndex != 0))
        }
        status = Status.live
        return status
    }

    /// The registers of one queue, QueueReady included.
    public func install(_ layout: QueueLayout, queue index: Int) {
        write(MMIO.queueSelect, UInt32(index))
        write(MMIO.queueNum, UInt32(layout.size))
        write64(MMIO.queueDescLow, layout.descriptorTable.value)
        write64(MMIO.queueDriverLow, layout.availableRing.value)
        write64(MMIO.queueDeviceLow, layout.usedRing.value)
        write(MMIO.queueReady, 1)
    }

    // MARK: Memory

    /// Fresh guest RAM, aligned to 16.
    public func allocate(_ count: UInt64) -> GuestAddress {
        defer { free += (count + 15) / 16 * 16 }
        return GuestAddress(free)
    }

    /// Makes everything that was allocated after `mark` free again.
    public func release(to mark: GuestAddress) { free = mark.value }

    public func allocateQueue(_ size: UInt16) -> QueueLayout {
        let count = UInt64(size)
        return QueueLayout(
            size: size, descriptorTable: allocate(16 * count), availableRing: allocate(6 + 2 * count), usedRing: allocate(6 + 8 * count))
    }

    // MARK: Event loop

    /// Waits up to `timeout` milliseconds for the device to have work and lets it do it, once; false if there was none. Each call into the device goes through
    /// `around`.
    @discardableResult
    public func runOnce(timeout: Int32 = 0, around: (() -> Void) throws -> Void = { $0() }) throws -> Bool {
        var tokens: [UInt64] = []
        try epoll.wait(timeout: timeout) { tokens.append($0.token) }
        for token in tokens {
            try around { if token == .max { transport.hostReady() } else { transport.notify(queue: Int(token)) } }
        }
        return !tokens.isEmpty
    }

    /// Lets the device work until `condition` holds or it has had nothing to do for a second.
    public func run(until condition: () throws -> Bool) throws {
        for _ in 0..<10_000 {
            if try condition() { return }
            if try !runOnce(timeout: 1000) { return }
        }
        throw MockDriverError.restless(rounds: 10_000)
    }

    /// Lets the device work until it has nothing to do, which is true; throws if it didn't come to rest within `limit` rounds.
    @discardableResult
    public func settle(limit: Int = 10_000) throws -> Bool {
        for _ in 0..<limit where try !runOnce() { return true }
        throw MockDriverError.restless(rounds: limit)
    }
}
