// A driver that does anything in any order: registers, rings, RAM and the host's ends of streams, as `choices` decide.
//
// What must hold: nothing crashes or hangs, each notification costs a bounded number of requests, bytes and accesses to guest RAM, the device's memory stays
// inside guest RAM, and after a reset it works.
import AddressSpace
import Glibc
import Virtio
import VirtioTesting

public enum AttackError: Error {
    /// One call did more than it may.
    case tooMuchWork(VictimKind, requests: UInt64, bytes: UInt64, accesses: Int)
    case tooMuchMemory(VictimKind, bytes: Int)
    case doesNotWork(VictimKind)
}

public struct Attack<Source: Choices> {
    public var choices: Source
    public let victim: Victim
    /// All that was ever allocated, in bytes, where something counts it.
    public var allocated: (() -> Int)?

    public init(_ victim: Victim, _ choices: Source) {
        self.victim = victim
        self.choices = choices
    }

    var driver: MockDriver { victim.driver }
    private var ramSize: UInt64 { driver.memory.size }

    // MARK: Steps

    /// One thing, and whatever the device makes of it.
    public mutating func step() throws {
        switch choices.pick(20) {
        case 0: activate { $0.address() }
        case 1: activateOverlapping()
        case 2: try activateInPlace()
        case 3...6: try requests()
        case 7: try chains()
        case 8: try scribble()
        case 9: for _ in 0..<4 { register() }
        case 10: register()
        case 11: moveQueue()
        case 12: try resetInMidRequest()
        case 13: try jumpAhead()
        case 14: driver.write(MMIO.queueNotify, UInt32(choices.pick(4)))
        case 15: driver.write(MMIO.status, UInt32(choices.element([0, 1, 3, 11, 15, 15, 79, 128, 255])))
        case 16, 17: try hostAction()
        default: break
        }
        // A device that finds more to do for ever is fine as long as each turn ends.
        for _ in 0..<2 { try turn() }
        // The allocator is the driver's own business; it begins again.
        if driver.allocate(0).value > ramSize / 2 { driver.release(to: GuestAddress(MockDriver.firstFree)) }
    }

    /// One thing of a device that is up: a request, or something at its other end.
    public mutating func converse() throws {
        switch choices.pick(8) {
        case 0...3: try requests()
        case 4...6: try hostAction()
        default: if choices.chance(in: 32) { try driver.start() }
        }
        for _ in 0..<2 { try turn() }
        if driver.allocate(0).value > ramSize / 2 { driver.release(to: GuestAddress(MockDriver.firstFree)) }
    }

    /// Lets the device do what it was told to, and holds each call against its bounds.
    public func turn() throws {
        try driver.runOnce { body in
            let before = victim.work
            let allocatedBefore = allocated?() ?? 0
            driver.memory.accesses.begin(limit: Victim.accessLimit)
            body()
            let allocation = (allocated?() ?? 0) - allocatedBefore
            guard allocation <= victim.allocationLimit else { throw AttackError.tooMuchMemory(victim.kind, bytes: allocation) }
            let isExceeded = driver.memory.accesses.isExceeded
            let accesses = driver.memory.accesses.total
            driver.memory.accesses.begin(limit: .max)
            let (requests, bytes) = (victim.work.requests - before.requests, victim.work.bytes - before.bytes)
            let limit = victim.workLimit
            guard !isExceeded, requests <= limit.requests, bytes <= limit.bytes else {
                throw AttackError.tooMuchWork(victim.kind, requests: requests, bytes: bytes, accesses: accesses)
            }
        }
    }

    /// The proof that it survived.
    public func check() throws {
        driver.release(to: GuestAddress(MockDriver.firstFree))
        guard try victim.works() else { throw AttackError.doesNotWork(victim.kind) }
    }

    // MARK: Numbers

    /// RAM, its ends, and beyond.
    mutating func address() -> UInt64 {
        switch choices.pick(10) {
        case 0: choices.bits()
        case 1: ramSize &- UInt64(choices.pick(64))
        case 2: .max - UInt64(choices.pick(64))
        case 3: GuestMemory.gapStart + UInt64(choices.pick(64))
        case 4: GuestMemory.gapEnd &- UInt64(choices.pick(64))
        default: UInt64(choices.pick(4096)) * 16
        }
    }

    mutating func length() -> UInt32 {
        switch choices.pick(6) {
        case 0: UInt32(truncatingIfNeeded: choices.bits())
        case 1: 16 * UInt32(choices.pick(20))
        case 2: 512 * UInt32(choices.pick(300))
        default: UInt32(choices.pick(600))
        }
    }

    // MARK: Registers

    /// One access, biased towards registers that exist.
    private mutating func register() {
        let registers = [
            MMIO.deviceFeaturesSelect, MMIO.driverFeatures, MMIO.driverFeaturesSelect, MMIO.queueSelect, MMIO.queueNum, MMIO.queueReady,
            MMIO.queueNotify, MMIO.interruptAcknowledge, MMIO.status, MMIO.queueDescLow, MMIO.queueDescLow + 4, MMIO.queueDriverLow,
            MMIO.queueDeviceLow, MMIO.configuration,
        ]
        let isKnown = !choices.chance(in: 4)
        let offset = isKnown ? choices.element(registers) : UInt64(choices.pick(Int(MMIOTransport.regionSize)))
        // KVM splits what crosses a page: three bytes, or seven, are possible.
        let size = isKnown ? 4 : 1 + choices.pick(8)
        let value = choices.chance(in: 2) ? UInt64(choices.pick(20)) : address()
        driver.transport.write(offset: offset, size: size, value: value)
        _ = driver.transport.read(offset: offset, size: size)
    }

    private mutating func features() -> UInt64 {
        driver.offeredFeatures & (choices.chance(in: 2) ? .max : ~Feature.eventIndex) & (choices.chance(in: 4) ? ~Feature.indirect : .max)
    }

    /// Rings somewhere, ready, and the device at work.
    private mutating func activate(_ place: (inout Self) -> UInt64) {
        driver.status = 0
        driver.negotiate(features())
        for index in driver.transport.queueEvents.indices {
            let size = UInt16(1) << UInt16(choices.pick(9))
            let layout = QueueLayout(
                size: size, descriptorTable: GuestAddress(place(&self)), availableRing: GuestAddress(place(&self)),
                usedRing: GuestAddress(place(&self)))
            driver.install(layout, queue: index)
        }
        driver.status = Status.live
    }

    /// The three parts of each ring over each other: the device's own writes become the driver's.
    private mutating func activateOverlapping() {
        let base = 0x2000 + UInt64(choices.pick(8)) * 16
        activate { $0.choices.chance(in: 4) ? base : base + UInt64($0.choices.pick(32)) * 2 }
    }

    /// Well-placed rings, whose contents are what's left of the last attack.
    private mutating func activateInPlace() throws {
        try driver.start(without: driver.offeredFeatures & ~features(), queueSize: 1 << UInt16(choices.pick(8)))
    }

    /// Registers of a queue of a live device.
    private mutating func moveQueue() {
        let index = choices.pick(4)
        driver.write(MMIO.queueSelect, UInt32(index))
        driver.write(MMIO.queueReady, UInt32(choices.pick(2)))
        let layout = QueueLayout(
            size: 1 << UInt16(choices.pick(16)), descriptorTable: GuestAddress(address()), availableRing: GuestAddress(address()),
            usedRing: GuestAddress(address()))
        driver.install(layout, queue: index)
    }

    // MARK: Rings

    private mutating func scribble() throws {
        for _ in 0...choices.pick(40) {
            let place = GuestAddress(
                choices.chance(in: 2) ? UInt64(choices.pick(0x4000)) * 8 : MockDriver.firstFree + UInt64(choices.pick(0x2000)) * 2)
            switch choices.pick(3) {
            case 0: try? driver.memory.store(UInt64(choices.pick(64)), at: place)
            case 1: try? driver.memory.store(choices.bits(), at: place)
            default: try? driver.memory.store(UInt16(choices.pick(300)), at: place)
            }
        }
    }

    /// The available index far ahead, behind, or around its end.
    private mutating func jumpAhead() throws {
        guard !driver.queues.isEmpty else { return }
        let queue = choices.element(driver.queues)
        let distance = choices.element([1, 2, UInt16(queue.layout.size), queue.layout.size &+ 1, 0x7FFF, 0x8000, 0xFFFF])
        try? queue.setAvailableIndex(queue.availableIndex &+ distance)
        queue.kick()
    }

    /// Chains that are almost right: any descriptor may be another request's, an indirect table, a loop.
    private mutating func chains() throws {
        for queue in driver.queues {
            for _ in 0..<choices.pick(4) {
                let request = victimRequest()
                let header = driver.allocate(64)
                try? driver.memory.write(request.readable, at: header)
                for slot in 0..<min(queue.layout.size, 8) where choices.chance(in: 2) {
                    let flags = UInt16(choices.pick(8)) & (choices.chance(in: 2) ? 3 : 7)
                    let target = choices.chance(in: 2) ? header.value : address()
                    let descriptor = MockDescriptor(raw: target, length(), flags: flags, next: UInt16(choices.pick(Int(queue.layout.size) + 1)))
                    try? queue.write(descriptor, at: queue.slot(slot))
                }
                try? queue.offer(UInt16(choices.pick(Int(queue.layout.size) + 1)))
            }
            try? queue.setAvailableIndex(queue.availableIndex)
            queue.kick()
        }
    }

    /// Requests as the device knows them, in well-formed chains but for a lie now and then.
    private mutating func requests() throws {
        for _ in 0...choices.pick(3) {
            let request = victimRequest()
            guard driver.queues.indices.contains(request.queue) else { continue }
            let queue = driver.queues[request.queue]
            let readable = driver.allocate(UInt64(request.readable.count) + 16)
            let writable = driver.allocate(UInt64(min(request.writable, 64 << 10)) + 16)
            try? driver.memory.write(request.readable, at: readable)
            var parts = split(readable, request.readable.count, 0) + split(writable, request.writable, MockDescriptor.write)
            if parts.isEmpty { continue }
            if choices.chance(in: 16) {
                let index = choices.pick(parts.count)
                parts[index].address = address()
                if choices.chance(in: 2) { parts[index].length = length() }
            }
            try offer(parts, on: queue)
            if choices.chance(in: 4) { driver.write(MMIO.queueNotify, UInt32(queue.index)) } else { try? queue.publish() }
        }
    }

    /// A buffer in up to four descriptors.
    private mutating func split(_ address: GuestAddress, _ count: Int, _ flags: UInt16) -> [MockDescriptor] {
        guard count > 0 else { return [] }
        let pieces = min(1 + choices.pick(4), count)
        return (0..<pieces).map { index in
            let start = count * index / pieces
            return MockDescriptor(GuestAddress(address.value + UInt64(start)), UInt32(count * (index + 1) / pieces - start), flags: flags)
        }
    }

    /// Writes a chain over whatever lies in the table's slots, direct or indirect, and puts it into the available ring.
    private mutating func offer(_ parts: [MockDescriptor], on queue: MockQueue) throws {
        var chain = parts
        let isIndirect = choices.chance(in: 3)
        let table = isIndirect ? driver.allocate(UInt64(16 * chain.count)) : queue.slot(0)
        let first = isIndirect ? 0 : choices.pick(Int(queue.layout.size))
        let slots = isIndirect ? chain.count : Int(queue.layout.size)
        for index in chain.indices {
            if index + 1 < chain.count { chain[index].flags |= MockDescriptor.next }
            if choices.chance(in: 64) { chain[index].flags |= MockDescriptor.indirect }
            chain[index].next = UInt16((first + index + (choices.chance(in: 64) ? 0 : 1)) % slots)
            try? queue.write(chain[index], at: GuestAddress(table.value + 16 * UInt64((first + index) % slots)))
        }
        if isIndirect {
            let lie = UInt32(choices.chance(in: 32) ? 16 * choices.pick(300) : 0)
            try? queue.write(MockDescriptor(table, UInt32(16 * chain.count) + lie, flags: MockDescriptor.indirect), at: queue.slot(0))
        }
        try? queue.offer(isIndirect ? 0 : UInt16(first))
    }

    // MARK: Resets

    /// A notification that nobody has seen yet, or that is half done, when the device is reset; perhaps it is up again when it is seen.
    private mutating func resetInMidRequest() throws {
        try requests()
        if choices.chance(in: 2) { try turn() }
        driver.status = UInt32(choices.element([0, 0, 128]))
        if choices.chance(in: 2) { try activateInPlace() }
        if choices.chance(in: 2) { driver.transport.serveAll() }
    }
}
