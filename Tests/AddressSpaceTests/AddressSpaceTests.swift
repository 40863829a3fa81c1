// Guest RAM and the buses: every access is inside, or refused.
import AddressSpace
import Glibc
import LinuxSystem
import Testing

private let page: UInt64 = 4096
private let gapStart = GuestMemory.gapStart
private let gapEnd = GuestMemory.gapEnd

// MARK: RAM

@Test func smallRAMIsOneRegion() throws {
    let memory = try GuestMemory(size: 1 << 20)
    #expect(memory.regions.map(\.start) == [GuestAddress(0)])
    #expect(memory.regions.map(\.count) == [1 << 20])
}

@Test func largeRAMGoesAroundTheGapForDevices() throws {
    let memory = try GuestMemory(size: gapStart + page)
    #expect(memory.regions.map(\.start) == [GuestAddress(0), GuestAddress(gapEnd)])
    #expect(memory.regions.map(\.count) == [gapStart, page])
    try memory.store(UInt32(0xAABB_CCDD), at: GuestAddress(gapEnd + page - 4))
    #expect(try memory.load(UInt32.self, at: GuestAddress(gapEnd + page - 4)) == 0xAABB_CCDD)
}

/// Address, count, and whether a RAM of 3 GiB and a page has all of it.
private let ranges: [(UInt64, UInt64, Bool)] = [
    (0, 0, true), (0, 1, true), (0, gapStart, true), (0, gapStart + 1, false), (gapStart - 1, 1, true), (gapStart - 1, 2, false),
    (gapStart, 1, false), (gapStart, 0, true), (0xD000_0000, 4, false), (gapEnd - 1, 1, false), (gapEnd, page, true), (gapEnd, page + 1, false),
    (gapEnd + page, 1, false), (gapEnd - 4, 8, false), (.max, 1, false), (.max, .max, false), (0, .max, false), (1 << 63, 1 << 63, false),
]

@Test(arguments: ranges) func onlyWhatIsRAMIsContained(address: UInt64, count: UInt64, inside: Bool) throws {
    let memory = try GuestMemory(size: gapStart + page)
    #expect(memory.contains(GuestAddress(address), count: count) == inside)
}

/// Every way to touch RAM, over its end.
private let accesses: [@Sendable (GuestMemory, GuestAddress) throws -> Void] = [
    { _ = try $0.load(UInt64.self, at: $1) }, { try $0.store(UInt64(0), at: $1) }, { _ = try $0.read(8, at: $1) },
    { try $0.write([UInt8](repeating: 0, count: 8), at: $1) }, { try $0.zero($1, count: 8) },
    { _ = unsafe try $0.ioVector($1, count: 8) }, { try $0.mapFile(-1, offset: 0, count: 8, at: $1) },
    { _ = try $0.readFile(-1, offset: 0, count: 8, at: $1) },
]

@Test(arguments: accesses.indices, [page - 7, page, 0xC000_0000, .max - 8, .max] as [UInt64])
func everyAccessChecksItsRange(access: Int, address: UInt64) throws {
    let memory = try GuestMemory(size: page)
    #expect(throws: GuestMemoryError.outOfRange(GuestAddress(address), count: 8)) { try accesses[access](memory, GuestAddress(address)) }
}

@Test(arguments: [1, page - 1, page, .max] as [UInt64]) func ringIndicesAreEvenAndInside(address: UInt64) throws {
    let memory = try GuestMemory(size: page)
    #expect(throws: GuestMemoryError.self) { try memory.loadAcquire16(at: GuestAddress(address)) }
    #expect(throws: GuestMemoryError.self) { try memory.storeRelease16(1, at: GuestAddress(address)) }
}

@Test func valuesNeedNoAlignment() throws {
    let memory = try GuestMemory(size: page)
    try memory.store(UInt64(0x0807_0605_0403_0201), at: GuestAddress(3))
    #expect(try memory.read(8, at: GuestAddress(3)) == [1, 2, 3, 4, 5, 6, 7, 8])
    #expect(try memory.load(UInt32.self, at: GuestAddress(5)) == 0x0605_0403)
    try memory.zero(GuestAddress(4), count: 2)
    #expect(try memory.load(UInt32.self, at: GuestAddress(3)) == 0x0400_0001)
}

// MARK: Files

private func file(_ count: Int) throws -> OwnedDescriptor {
    let descriptor = try OwnedDescriptor.memory(named: "file")
    try writeAll(descriptor.raw, (0..<count).map { UInt8(truncatingIfNeeded: $0 / 256 + $0) })
    return descriptor
}

@Test func aMappedFileIsSeenAndNotChanged() throws {
    let memory = try GuestMemory(size: 4 * page)
    let descriptor = try file(8192)
    try memory.mapFile(descriptor.raw, offset: page, count: page, at: GuestAddress(page))
    #expect(try memory.load(UInt8.self, at: GuestAddress(page + 5)) == 21)
    try memory.store(UInt8(99), at: GuestAddress(page + 5))
    lseek(descriptor.raw, 0, SEEK_SET)
    #expect(try readAll(descriptor.raw, limit: 8192)[4101] == 21)
    #expect(try memory.load(UInt8.self, at: GuestAddress(2 * page)) == 0)
}

@Test(arguments: [(0, 100, true), (8000, 192, true), (8000, 193, false), (9000, 1, false)] as [(UInt64, UInt64, Bool)])
func aFileIsReadWhereItReachesFarEnough(offset: UInt64, count: UInt64, whole: Bool) throws {
    let memory = try GuestMemory(size: 4 * page)
    let descriptor = try file(8192)
    #expect(try memory.readFile(descriptor.raw, offset: offset, count: count, at: GuestAddress(17)) == whole)
    if whole { #expect(try memory.load(UInt8.self, at: GuestAddress(18)) == UInt8(truncatingIfNeeded: (offset + 1) / 256 + offset + 1)) }
}

// MARK: Bus

private final class Recorder: BusDevice {
    let tag: UInt64
    init(_ tag: UInt64) { self.tag = tag }
    func read(offset: UInt64, size: Int) -> UInt64 { tag << 16 | offset }
    func write(offset: UInt64, size: Int, value: UInt64) {}
}

private func bus() throws -> Bus {
    var bus = Bus()
    try bus.attach(Recorder(2), start: 0x2000, count: 0x1000)
    try bus.attach(Recorder(1), start: 0x1000, count: 0x100)
    try bus.attach(Recorder(3), start: 0x3000, count: 1)
    return bus
}

/// Address, size, and what is read there.
private let reads: [(UInt64, Int, UInt64)] = [
    (0x1000, 4, 0x1_0000), (0x10FC, 4, 0x1_00FC), (0x10FD, 4, 0xFFFF_FFFF), (0x1100, 1, 0xFF), (0xFFF, 2, 0xFFFF), (0x2FFF, 1, 0x2_0FFF),
    (0x2FFF, 2, 0xFFFF), (0x3000, 1, 0x3_0000), (0x3001, 1, 0xFF), (0, 8, .max), (.max, 1, 0xFF), (.max, 8, .max),
]

@Test(arguments: reads) func theBusFindsTheDeviceOrNobody(address: UInt64, size: Int, expected: UInt64) throws {
    #expect(try bus().read(address, size: size) == expected)
    try bus().write(address, size: size, value: 0)
}

@Test(arguments: [(0x1000, 1), (0x10FF, 1), (0xFFF, 2), (0, 0x10000), (0x2800, 0x1000), (0x5000, 0), (.max, 1), (.max, 2)] as [(UInt64, UInt64)])
func rangesThatOverlapOrWrapAreRefused(start: UInt64, count: UInt64) throws {
    var bus = try bus()
    #expect(throws: BusError.overlap(start: start, count: count)) { try bus.attach(Recorder(9), start: start, count: count) }
}
