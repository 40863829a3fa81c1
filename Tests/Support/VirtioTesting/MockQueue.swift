// The driver's side of a split virtqueue (virtio 1.2 §2.7), written plainly so that a test can also write it wrongly.
public import AddressSpace
public import Virtio

/// A descriptor as the driver writes it.
public struct MockDescriptor: Sendable {
    public static let next: UInt16 = 1
    public static let write: UInt16 = 2
    public static let indirect: UInt16 = 4

    public var address: UInt64
    public var length: UInt32
    public var flags: UInt16
    public var next: UInt16

    public init(_ address: GuestAddress, _ length: UInt32, flags: UInt16 = 0, next: UInt16 = 0) {
        self.init(raw: address.value, length, flags: flags, next: next)
    }

    public init(raw address: UInt64, _ length: UInt32, flags: UInt16 = 0, next: UInt16 = 0) {
        self.address = address
        self.length = length
        self.flags = flags
        self.next = next
    }
}

/// A used element.
public struct MockUsed: Equatable, Sendable {
    public let head: UInt16
    public let written: UInt32

    public init(head: UInt16, written: UInt32) {
        self.head = head
        self.written = written
    }
}

/// What a misbehaving device did.
public enum MockDriverError: Error {
    case noFreeDescriptor
    /// An id that isn't outstanding.
    case unexpectedUsed(UInt32)
    /// It always had something to do.
    case restless(rounds: Int)
}

public final class MockQueue {
    public let layout: QueueLayout
    public let index: Int
    public private(set) var kicks = 0
    public private(set) var availableIndex: UInt16 = 0
    private unowned let driver: MockDriver
    private let eventIndex: Bool
    private var seenUsed: UInt16 = 0
    /// `availableIndex` at the last `publish`.
    private var published: UInt16 = 0
    private var freeDescriptors: [UInt16]
    private var outstanding: [UInt16: [UInt16]] = [:]

    init(driver: MockDriver, index: Int, layout: QueueLayout, eventIndex: Bool) throws {
        self.driver = driver
        self.index = index
        self.layout = layout
        self.eventIndex = eventIndex
        freeDescriptors = (0..<layout.size).reversed()
        try driver.memory.write([UInt8](repeating: 0, count: 6 + 2 * Int(layout.size)), at: layout.availableRing)
        try driver.memory.write([UInt8](repeating: 0, count: 6 + 8 * Int(layout.size)), at: layout.usedRing)
    }

    private var memory: GuestMemory { driver.memory }

    // MARK: Raw

    public func slot(_ index: UInt16) -> GuestAddress { GuestAddress(layout.descriptorTable.value + 16 * UInt64(index)) }

    public func write(_ descriptor: MockDescriptor, at address: GuestAddress) throws {
        try memory.store(descriptor.address, at: address)
        try memory.store(descriptor.length, at: GuestAddress(address.value + 8))
        try memory.store(descriptor.flags, at: GuestAddress(address.value + 12))
        try memory.store(descriptor.next, at: GuestAddress(address.value + 14))
    }

    /// Puts `head` into the available ring without telling the device.
    public func offer(_ head: UInt16) throws {
        let entry = layout.availableRing.value + 4 + 2 * UInt64(availableIndex & (layout.size - 1))
        try memory.store(head, at: GuestAddress(entry))
        availableIndex &+= 1
    }

    /// Writes the available index and notifies the device if it wants that.
    public func publish() throws {
        try setAvailableIndex(availableIndex)
        let wanted: Bool
        if eventIndex {
            let event: UInt16 = try memory.load(at: GuestAddress(layout.usedRing.value + 4 + 8 * UInt64(layout.size)))
            wanted = availableIndex &- event &- 1 < availableIndex &- published
        } else {
            wanted = try memory.load(UInt16.self, at: layout.usedRing) & 1 == 0
        }
        published = availableIndex
        if wanted { kick() }
    }

    public func setAvailableIndex(_ value: UInt16) throws {
        try memory.storeRelease16(value, at: GuestAddress(layout.availableRing.value + 2))
    }

    /// The available ring's flags (NO_INTERRUPT is 1).
    public func setFlags(_ value: UInt16) throws { try memory.store(value, at: layout.availableRing) }

    /// The used index at which the driver wants an interrupt.
    public func setUsedEvent(_ value: UInt16) throws {
        try memory.store(value, at: GuestAddress(layout.availableRing.value + 4 + 2 * UInt64(layout.size)))
    }

    public func kick() {
        kicks += 1
        driver.write(MMIO.queueNotify, UInt32(index))
    }

    // MARK: Well-behaved

    /// Offers a chain of these buffers, without telling the device; its head.
    @discardableResult
    public func add(readable: [(GuestAddress, Int)] = [], writable: [(GuestAddress, Int)] = [], indirect: Bool = false) throws -> UInt16 {
        var chain = readable.map { MockDescriptor($0.0, UInt32($0.1)) }
        chain += writable.map { MockDescriptor($0.0, UInt32($0.1), flags: MockDescriptor.write) }
        return indirect ? try addIndirect(chain) : try addDirect(chain)
    }

    private func addDirect(_ chain: [MockDescriptor]) throws -> UInt16 {
        guard freeDescriptors.count >= chain.count else { throw MockDriverError.noFreeDescriptor }
        let slots = chain.map { _ in freeDescriptors.removeLast() }
        for (position, var descriptor) in chain.enumerated() {
            if position + 1 < chain.count {
                descriptor.flags |= MockDescriptor.next
                descriptor.next = slots[position + 1]
            }
            try write(descriptor, at: slot(slots[position]))
        }
        outstanding[slots[0]] = slots
        try offer(slots[0])
        return slots[0]
    }

    private func addIndirect(_ chain: [MockDescriptor]) throws -> UInt16 {
        let table = driver.allocate(16 * UInt64(chain.count))
        for (position, var descriptor) in chain.enumerated() {
            if position + 1 < chain.count {
                descriptor.flags |= MockDescriptor.next
                descriptor.next = UInt16(position + 1)
            }
            try write(descriptor, at: GuestAddress(table.value + 16 * UInt64(position)))
        }
        return try addDirect([MockDescriptor(table, UInt32(16 * chain.count), flags: MockDescriptor.indirect)])
    }

    /// The chains that the device has used since the last call; it is asked to interrupt at the next one.
    public func takeUsed() throws -> [MockUsed] {
        let index = try memory.loadAcquire16(at: GuestAddress(layout.usedRing.value + 2))
        var used: [MockUsed] = []
        while seenUsed != index {
            let element = layout.usedRing.value + 4 + 8 * UInt64(seenUsed & (layout.size - 1))
            let id: UInt32 = try memory.load(at: GuestAddress(element))
            let written: UInt32 = try memory.load(at: GuestAddress(element + 4))
            guard let head = UInt16(exactly: id), let slots = outstanding.removeValue(forKey: head) else {
                throw MockDriverError.unexpectedUsed(id)
            }
            freeDescriptors.append(contentsOf: slots)
            used.append(MockUsed(head: head, written: written))
            seenUsed &+= 1
        }
        if eventIndex { try setUsedEvent(seenUsed) }
        return used
    }
}
