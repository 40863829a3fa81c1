// Split virtqueues: ordinary use, and rings that lie.
import AddressSpace
import Testing
import Virtio
import VirtioTesting

// MARK: Ordinary use

@Test(arguments: [false, true], [0, Feature.eventIndex, Feature.indirect, Feature.eventIndex | Feature.indirect])
func requestsAreAnsweredWithEveryFeatureSet(indirect: Bool, without: UInt64) throws {
    if indirect && without & Feature.indirect != 0 { return }
    let driver = try MockDriver(EchoDevice())
    try driver.start(without: without)
    for length in [1, 2, 100, 5000] {
        let bytes = (0..<length).map { UInt8(truncatingIfNeeded: $0) }
        #expect(try echo(driver, bytes, indirect: indirect) == bytes.reversed())
    }
}

@Test(arguments: [0, Feature.eventIndex]) func positionsWrapAroundTwoToTheSixteenth(without: UInt64) throws {
    let driver = try MockDriver(EchoDevice())
    try driver.start(without: without, queueSize: 16)
    let buffer = driver.allocate(16)
    for round in 0..<4_400 {
        for _ in 0..<15 { try driver.queues[0].add(writable: [(buffer, 16)]) }
        try driver.queues[0].publish()
        try driver.settle()
        let used = try driver.queues[0].takeUsed().count
        if used != 15 { Issue.record("round \(round): \(used) of 15 used") }
    }
    #expect(driver.transport.echo.requests == 66_000)
}

@Test func scatteredBuffersAreOneRequest() throws {
    let driver = try MockDriver(EchoDevice())
    try driver.start()
    let input = driver.allocate(64)
    let output = driver.allocate(64)
    try driver.memory.write(Array(0..<10), at: input)
    let pieces = [0, 1, 4, 9].map { GuestAddress(input.value + $0) }
    try driver.queues[0].add(
        readable: [(pieces[0], 1), (pieces[1], 3), (pieces[2], 5), (pieces[3], 1)],
        writable: [(output, 3), (GuestAddress(output.value + 32), 7)])
    try driver.queues[0].publish()
    try driver.settle()
    #expect(try driver.memory.read(3, at: output) == [9, 8, 7])
    #expect(try driver.memory.read(7, at: GuestAddress(output.value + 32)) == [6, 5, 4, 3, 2, 1, 0])
}

@Test func manyRequestsOfOneKickMakeOneInterrupt() throws {
    let driver = try MockDriver(EchoDevice())
    try driver.start()
    let buffer = driver.allocate(8)
    for _ in 0..<16 { try driver.queues[0].add(writable: [(buffer, 8)]) }
    try driver.queues[0].publish()
    try driver.settle()
    #expect(try driver.queues[0].takeUsed().count == 16)
    #expect(driver.interrupts.count == 1)
}

@Test(arguments: [0, Feature.eventIndex]) func aDriverThatWantsNoInterruptGetsNone(without: UInt64) throws {
    let driver = try MockDriver(EchoDevice())
    try driver.start(without: without)
    let buffer = driver.allocate(8)
    try driver.queues[0].setFlags(1)
    try driver.queues[0].setUsedEvent(100)
    try driver.queues[0].add(writable: [(buffer, 8)])
    try driver.queues[0].publish()
    try driver.settle()
    #expect(try driver.queues[0].takeUsed().count == 1)
    #expect(driver.interrupts.count == 0)
}

@Test func theUsedEventSaysWhenToInterrupt() throws {
    let driver = try MockDriver(EchoDevice())
    try driver.start()
    let buffer = driver.allocate(8)
    try driver.queues[0].setUsedEvent(2)
    for expected in [0, 0, 1, 1] {
        try driver.queues[0].add(writable: [(buffer, 8)])
        try driver.queues[0].publish()
        try driver.settle()
        #expect(driver.interrupts.count == expected)
    }
}

@Test(arguments: [0, Feature.eventIndex]) func anIdleDeviceAsksToBeNotified(without: UInt64) throws {
    let driver = try MockDriver(EchoDevice())
    try driver.start(without: without)
    for _ in 0..<5 { _ = try echo(driver, [1]) }
    #expect(driver.queues[0].kicks == 5)
}

// MARK: Rings that lie

/// A request that breaks one rule, and the error that names it.
struct Lie: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let error: VirtioError
    let tell: @Sendable (MockDriver) throws -> Void

    init(_ name: String, _ error: VirtioError, _ tell: @escaping @Sendable (MockDriver) throws -> Void) {
        testDescription = name
        self.error = error
        self.tell = tell
    }
}

private let end: UInt64 = 8 << 20

/// Writes these descriptors from slot 0 on and offers slot 0.
private func offer(_ driver: MockDriver, _ descriptors: MockDescriptor...) throws {
    for (index, descriptor) in descriptors.enumerated() {
        try driver.queues[0].write(descriptor, at: driver.queues[0].slot(UInt16(index)))
    }
    try driver.queues[0].offer(0)
}

/// The same in an indirect table.
private func offerIndirect(_ driver: MockDriver, length: UInt32? = nil, _ descriptors: MockDescriptor...) throws {
    let table = GuestAddress(0x8000)
    for (index, descriptor) in descriptors.enumerated() {
        try driver.queues[0].write(descriptor, at: GuestAddress(table.value + 16 * UInt64(index)))
    }
    try offer(driver, MockDescriptor(table, length ?? UInt32(16 * descriptors.count), flags: MockDescriptor.indirect))
}

private func unreachable(_ address: UInt64, _ count: UInt64) -> VirtioError { .memory(.outOfRange(GuestAddress(address), count: count)) }

private let buffer = GuestAddress(0x4000)
private let next = MockDescriptor.next
private let write = MockDescriptor.write
private let indirect = MockDescriptor.indirect

private let lies: [Lie] = [
    Lie("available index too far ahead", .availableIndex(ahead: 17, size: 16)) { try $0.queues[0].setAvailableIndex(17) },
    Lie("available index behind", .availableIndex(ahead: .max, size: 16)) { try $0.queues[0].setAvailableIndex(.max) },
    Lie("head outside the table", .descriptorIndex(16, count: 16)) { try $0.queues[0].offer(16) },
    Lie("head far outside the table", .descriptorIndex(.max, count: 16)) { try $0.queues[0].offer(.max) },
    Lie("successor outside the table", .descriptorIndex(16, count: 16)) { try offer($0, MockDescriptor(buffer, 1, flags: next, next: 16)) },
    Lie("loop of one", .chainTooLong(limit: 16)) { try offer($0, MockDescriptor(buffer, 1, flags: next, next: 0)) },
    Lie("loop of two", .chainTooLong(limit: 16)) {
        try offer($0, MockDescriptor(buffer, 1, flags: next, next: 1), MockDescriptor(buffer, 1, flags: next, next: 0))
    },
    Lie("loop of nothing", .chainTooLong(limit: 16)) { try offer($0, MockDescriptor(buffer, 0, flags: next, next: 0)) },
    Lie("readable behind writable", .descriptorOrder) {
        try offer($0, MockDescriptor(buffer, 1, flags: next | write, next: 1), MockDescriptor(buffer, 1))
    },
    Lie("more than 4 GiB", .chainTooLarge) {
        try offer($0, MockDescriptor(buffer, .max, flags: next, next: 1), MockDescriptor(buffer, 2))
    },
    Lie("indirect inside indirect", .indirectDescriptor) { try offerIndirect($0, MockDescriptor(buffer, 16, flags: indirect)) },
    Lie("indirect with a successor", .indirectDescriptor) { try offer($0, MockDescriptor(buffer, 16, flags: indirect | next, next: 1)) },
    Lie("indirect table of nothing", .indirectTableLength(0)) { try offer($0, MockDescriptor(buffer, 0, flags: indirect)) },
    Lie("indirect table of half a descriptor", .indirectTableLength(24)) { try offer($0, MockDescriptor(buffer, 24, flags: indirect)) },
    Lie("indirect table longer than the queue", .indirectTableLength(17 * 16)) {
        try offer($0, MockDescriptor(buffer, 17 * 16, flags: indirect))
    },
    Lie("indirect table of 4 GiB", .indirectTableLength(.max - 15)) { try offer($0, MockDescriptor(buffer, .max - 15, flags: indirect)) },
    Lie("indirect table behind the end of RAM", unreachable(end, 16)) { try offer($0, MockDescriptor(raw: end, 16, flags: indirect)) },
    Lie("indirect table across the end of RAM", unreachable(end, 16)) {
        try $0.queues[0].write(MockDescriptor(buffer, 1, flags: next, next: 1), at: GuestAddress(end - 16))
        try offer($0, MockDescriptor(raw: end - 16, 32, flags: indirect))
    },
    Lie("indirect table that wraps", unreachable(.max - 15, 32)) { try offer($0, MockDescriptor(raw: .max - 15, 32, flags: indirect)) },
    Lie("loop in an indirect table", .chainTooLong(limit: 16)) { try offerIndirect($0, MockDescriptor(buffer, 1, flags: next, next: 0)) },
    Lie("successor outside an indirect table", .descriptorIndex(1, count: 1)) {
        try offerIndirect($0, MockDescriptor(buffer, 1, flags: next, next: 1))
    },
    Lie("buffer behind the end of RAM", unreachable(end, 1)) { try offer($0, MockDescriptor(raw: end, 1)) },
    Lie("buffer across the end of RAM", unreachable(end - 1, 2)) { try offer($0, MockDescriptor(raw: end - 1, 2)) },
    Lie("buffer at the top of the address space", unreachable(.max, 1)) { try offer($0, MockDescriptor(raw: .max, 1)) },
    Lie("buffer that wraps", unreachable(.max - 3, 8)) { try offer($0, MockDescriptor(raw: .max - 3, 8)) },
    Lie("buffer in the gap", unreachable(0xD000_0000, 4)) { try offer($0, MockDescriptor(raw: 0xD000_0000, 4)) },
]

@Test(arguments: lies) func aLieStopsTheDeviceUntilItsReset(lie: Lie) throws {
    let driver = try MockDriver(EchoDevice(), memory: end)
    try driver.start()
    try lie.tell(driver)
    if lie.error != .availableIndex(ahead: 17, size: 16), lie.error != .availableIndex(ahead: .max, size: 16) {
        try driver.queues[0].publish()
    }
    driver.queues[0].kick()
    try driver.settle()
    #expect(driver.transport.failure == lie.error)
    // The host did nothing wrong.
    #expect(driver.hostFailures.count == 0)
    #expect(driver.status == Status.live | Status.needsReset)
    try driver.start()
    #expect(try echo(driver, [1, 2, 3]) == [3, 2, 1])
}

@Test(arguments: [false, true]) func anIndirectDescriptorThatWasNotNegotiatedIsRefused(inTable: Bool) throws {
    let driver = try MockDriver(EchoDevice())
    try driver.start(without: Feature.indirect)
    try offerIndirect(driver, MockDescriptor(buffer, 16, flags: inTable ? indirect : 0))
    try driver.queues[0].publish()
    try driver.settle()
    #expect(driver.transport.failure == .indirectDescriptor)
}

/// Offsets from the end of RAM, or absolute, of the three parts of a queue of 16.
private let ringPlaces: [(String, UInt64, UInt64, UInt64)] = [
    ("misaligned table", 0x1008, 0x2000, 0x3000), ("misaligned available ring", 0x1000, 0x2001, 0x3000),
    ("misaligned used ring", 0x1000, 0x2000, 0x3002), ("table that wraps", .max - 0xF, 0x2000, 0x3000),
    ("available ring that wraps", 0x1000, .max - 1, 0x3000), ("used ring that wraps", 0x1000, 0x2000, .max - 3),
    ("available ring behind the end", 0x1000, 8 << 20, 0x3000), ("available ring at the end", 0x1000, (8 << 20) - 4, 0x3000),
    ("available ring in the gap", 0x1000, 0xC000_0000, 0x3000),
]

@Test(arguments: ringPlaces) func aRingThatIsNowhereStopsTheDevice(name: String, table: UInt64, available: UInt64, used: UInt64) throws {
    let driver = try MockDriver(EchoDevice(), memory: end)
    driver.negotiate(Feature.version1)
    let layout = QueueLayout(
        size: 16, descriptorTable: GuestAddress(table), availableRing: GuestAddress(available), usedRing: GuestAddress(used))
    driver.install(layout, queue: 0)
    driver.status = Status.live
    // The available index, where it is RAM, says that there is a chain.
    try? driver.memory.store(UInt16(1), at: GuestAddress(available &+ 2))
    driver.write(MMIO.queueNotify, 0)
    try driver.settle()
    #expect(driver.status & Status.needsReset != 0)
    try driver.start()
    #expect(try echo(driver, [1, 2]) == [2, 1])
}

@Test(arguments: [0x1000, 0x1004, 0x1010, 0x10F0] as [UInt64]) func ringsThatOverlapHarmNobodyElse(used: UInt64) throws {
    let driver = try MockDriver(EchoDevice())
    driver.negotiate(Feature.version1 | Feature.eventIndex)
    let layout = QueueLayout(
        size: 16, descriptorTable: GuestAddress(0x1000), availableRing: GuestAddress(0x1000), usedRing: GuestAddress(used))
    driver.install(layout, queue: 0)
    driver.status = Status.live
    for value in 0..<200 as Range<UInt16> {
        try driver.memory.store(value, at: GuestAddress(0x1002))
        driver.write(MMIO.queueNotify, 0)
        // A used ring over the available ring may keep the device busy for ever: each turn has its end.
        for _ in 0..<3 { try driver.runOnce() }
    }
    try driver.start()
    #expect(try echo(driver, [1, 2]) == [2, 1])
}

/// The device's own writes to the used ring's flags are the driver's available index: with the first it finds a chain, with the next it lost one, and so on for ever.
@Test(arguments: [0, 2, 4] as [UInt64], [Feature.version1, Feature.version1 | Feature.eventIndex])
func aUsedRingOverTheAvailableIndexEndsEachTurn(shift: UInt64, features: UInt64) throws {
    let driver = try MockDriver(EchoDevice())
    driver.negotiate(features)
    // Flags or index of the used ring at 0x2004, and the available index there or before.
    let layout = QueueLayout(
        size: 16, descriptorTable: GuestAddress(0x1000), availableRing: GuestAddress(0x2000 + shift), usedRing: GuestAddress(0x2004))
    driver.install(layout, queue: 0)
    driver.status = Status.live
    driver.write(MMIO.queueNotify, 0)
    for _ in 0..<3 {
        driver.memory.accesses.begin(limit: 100_000)
        try driver.runOnce()
        #expect(!driver.memory.accesses.isExceeded)
    }
    driver.memory.accesses.begin(limit: .max)
    try driver.start()
    #expect(try echo(driver, [1, 2]) == [2, 1])
}

@Test func buffersMayOverlapTheRings() throws {
    let driver = try MockDriver(EchoDevice())
    try driver.start()
    let layout = driver.queues[0].layout
    try driver.queues[0].add(readable: [(layout.descriptorTable, 64)], writable: [(layout.usedRing, 64), (layout.availableRing, 30)])
    try driver.queues[0].publish()
    for _ in 0..<3 { try driver.runOnce() }
    try driver.start()
    #expect(try echo(driver, [1, 2]) == [2, 1])
}

@Test func aChainMayBeAsLongAsTheQueue() throws {
    let driver = try MockDriver(EchoDevice())
    try driver.start()
    let input = driver.allocate(16)
    let output = driver.allocate(16)
    try driver.memory.write(Array(0..<8), at: input)
    let readable = (0..<8).map { (GuestAddress(input.value + UInt64($0)), 1) }
    let writable = (0..<8).map { (GuestAddress(output.value + UInt64($0)), 1) }
    for indirect in [false, true] {
        try driver.queues[0].add(readable: readable, writable: writable, indirect: indirect)
        try driver.queues[0].publish()
        try driver.settle()
        #expect(try driver.queues[0].takeUsed().count == 1)
        #expect(try driver.memory.read(8, at: output) == [7, 6, 5, 4, 3, 2, 1, 0])
    }
}
