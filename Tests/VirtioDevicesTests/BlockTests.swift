// The block device.
import AddressSpace
import CLinux
import DeviceTesting
import Glibc
import LinuxSystem
import Testing
import Virtio
import VirtioDevices
import VirtioTesting

enum Request {
    static let read: UInt32 = 0
    static let write: UInt32 = 1
    static let flush: UInt32 = 4
    static let identity: UInt32 = 8
    static let discard: UInt32 = 11
    static let writeZeroes: UInt32 = 13
}

enum Answer {
    static let ok: UInt8 = 0
    static let ioError: UInt8 = 1
    static let unsupported: UInt8 = 2
}

/// A disk and its driver.
final class BlockFixture {
    let driver: MockDriver

    init(_ backend: BlockBackend, serial: String = "test-disk") throws {
        driver = try MockDriver(try Block(backend, serial: serial))
        try driver.start()
    }

    init(_ disk: sending CopyOnWrite) throws {
        driver = try MockDriver(try Block(disk, serial: "test-disk"))
        try driver.start()
    }

    convenience init(_ file: ScratchFile, length: UInt64, readOnly: Bool = false, ephemeral: Bool = false) throws {
        let access: BlockAccess = readOnly ? .readOnly : ephemeral ? .ephemeral : .inPlace
        try self.init(BlockBackend.concatenation(of: [(file.raw, 0, length)], name: "scratch", access: access))
    }

    var metrics: BlockMetrics { driver.transport.withDevice { ($0 as? Block)?.metrics } ?? BlockMetrics() }
    var hostFailure: BlockHostFailure? { driver.transport.withDevice { ($0 as? Block)?.hostFailure } }

    /// One request with `data` for the device, or with room for `room` bytes; its status and what was read.
    func request(_ type: UInt32, sector: UInt64 = 0, data: [UInt8] = [], room: Int = 0) throws -> (status: UInt8, read: [UInt8]) {
        let memory = driver.memory
        let header = driver.allocate(16)
        defer { driver.release(to: header) }
        try memory.store(UInt64(type), at: header)
        try memory.store(sector, at: GuestAddress(header.value + 8))
        let input = driver.allocate(UInt64(data.count))
        try memory.write(data, at: input)
        let output = driver.allocate(UInt64(room))
        let status = driver.allocate(1)
        try memory.store(UInt8(0xEE), at: status)
        var readable = [(header, 16)]
        if !data.isEmpty { readable.append((input, data.count)) }
        let writable = room > 0 ? [(output, room), (status, 1)] : [(status, 1)]
        try driver.queues[0].add(readable: readable, writable: writable, indirect: true)
        try driver.queues[0].publish()
        try driver.settle()
        #expect(try driver.queues[0].takeUsed().map(\.written) == [UInt32(room + 1)])
        return (try memory.load(at: status), try memory.read(room, at: output))
    }

    /// A discard or write-zeroes request of one range.
    func range(_ type: UInt32, sector: UInt64, count: UInt32, flags: UInt32 = 0) throws -> UInt8 {
        let words = [UInt32(truncatingIfNeeded: sector), UInt32(truncatingIfNeeded: sector >> 32), count, flags]
        let bytes = words.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> UInt32(8 * $0)) } }
        return try request(type, data: bytes).status
    }
}

func blockPattern(_ count: Int, seed: Int = 0) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: ($0 + seed) &* 31 ^ ($0 >> 8)) } }

// MARK: Data

@Test(arguments: [(0, 512), (1, 1024), (100, 65536), (255, 512), (0, 131_072)]) func whatWasWrittenIsRead(sector: UInt64, count: Int) throws {
    let file = try ScratchFile(size: 128 << 10)
    let disk = try BlockFixture(file, length: 128 << 10)
    let bytes = blockPattern(count)
    #expect(try disk.request(Request.write, sector: sector, data: bytes).status == Answer.ok)
    let (status, read) = try disk.request(Request.read, sector: sector, room: count)
    #expect(status == Answer.ok)
    #expect(read == bytes)
    let start = Int(sector) * 512
    #expect(Array(try file.bytes[start..<start + count]) == bytes)
    #expect(disk.metrics.bytesRead == UInt64(count))
    #expect(disk.metrics.bytesWritten == UInt64(count))
}

@Test func extentsAreOneDiskEachPaddedWithZeros() throws {
    let first = try ScratchFile(blockPattern(5000))
    let second = try ScratchFile(blockPattern(9000, seed: 7))
    let files: [(descriptor: Int32, offset: UInt64, length: UInt64)] = [
        (first.raw, 100, 4000), (second.raw, 1, 4096), (first.raw, 0, 0), (second.raw, 0, 4097),
    ]
    let backend = try BlockBackend.concatenation(of: files, name: "layers", access: .readOnly)
    #expect(backend.size == 4096 + 4096 + 8192)
    let disk = try BlockFixture(backend)
    let zeros = { [UInt8](repeating: 0, count: $0) }
    let expected: [UInt8] =
        blockPattern(5000)[100..<4100] + zeros(96) + blockPattern(9000, seed: 7)[1..<4097] + blockPattern(9000, seed: 7)[..<4097] + zeros(4095)
    let (status, read) = try disk.request(Request.read, room: 16384)
    #expect(status == Answer.ok)
    #expect(read == expected)
    #expect(try disk.request(Request.read, sector: 7, room: 1024).read == Array(expected[3584..<4608]))
    #expect(disk.driver.transport.read(offset: MMIO.configuration, size: 8) == 32)
}

@Test(
    arguments: [
        (256, 512), (255, 1024), (.max, 512), (1 << 55, 512), ((1 << 55) - 1, 512), (0, 131_584), (0, 513), (0, 100), (1 << 63, 131_072),
    ] as [(UInt64, Int)])
func aTransferThatLeavesTheDiskIsAnError(sector: UInt64, count: Int) throws {
    let file = try ScratchFile(size: 128 << 10)
    let disk = try BlockFixture(file, length: 128 << 10)
    #expect(try disk.request(Request.read, sector: sector, room: count).status == Answer.ioError)
    #expect(try disk.request(Request.write, sector: sector, data: blockPattern(count)).status == Answer.ioError)
    #expect(try file.bytes.allSatisfy { $0 == 0 })
    #expect(disk.hostFailure == nil)
}

@Test func aReadOnlyDiskStaysAsItIs() throws {
    let file = try ScratchFile(blockPattern(4096))
    let disk = try BlockFixture(file, length: 4096, readOnly: true)
    #expect(disk.driver.offeredFeatures & (1 << 5) != 0)
    #expect(disk.driver.offeredFeatures & (1 << 9 | 1 << 13 | 1 << 14) == 0)
    #expect(try disk.request(Request.write, data: blockPattern(512, seed: 3)).status == Answer.ioError)
    #expect(try disk.range(Request.discard, sector: 0, count: 8) == Answer.ioError)
    #expect(try disk.range(Request.writeZeroes, sector: 0, count: 8) == Answer.ioError)
    #expect(try disk.request(Request.flush).status == Answer.ok)
    #expect(try file.bytes == blockPattern(4096))
}

// MARK: Everything else

@Test(arguments: [false, true]) func flushSucceeds(ephemeral: Bool) throws {
    let file = try ScratchFile(size: 4096)
    let disk = try BlockFixture(file, length: 4096, ephemeral: ephemeral)
    #expect((disk.driver.offeredFeatures & (1 << 9) != 0) == !ephemeral)
    #expect(try disk.request(Request.flush).status == Answer.ok)
    #expect(disk.metrics.flushes == 1)
}

@Test func theSerialIsPaddedToTwentyBytes() throws {
    let file = try ScratchFile(size: 4096)
    let disk = try BlockFixture(file, length: 4096)
    let (status, read) = try disk.request(Request.identity, room: 20)
    #expect(status == Answer.ok)
    #expect(read == Array("test-disk".utf8) + [UInt8](repeating: 0, count: 11))
    #expect(try disk.request(Request.identity, room: 19).status == Answer.ioError)
}

@Test(arguments: [2, 3, 5, 99, .max] as [UInt32]) func unknownRequestsAreUnsupported(type: UInt32) throws {
    let file = try ScratchFile(size: 4096)
    let disk = try BlockFixture(file, length: 4096)
    #expect(try disk.request(type, room: 512).status == Answer.unsupported)
}

@Test(arguments: [Request.discard, Request.writeZeroes], [0, 1] as [UInt32]) func rangesReadAsZeros(type: UInt32, flags: UInt32) throws {
    if type == Request.discard && flags == 1 { return }
    let file = try ScratchFile(blockPattern(65536))
    let disk = try BlockFixture(file, length: 65536)
    #expect(try disk.range(type, sector: 8, count: 16, flags: flags) == Answer.ok)
    let zeros = [UInt8](repeating: 0, count: 8192)
    let whole = blockPattern(65536)
    #expect(try file.bytes == Array(whole[..<4096]) + zeros + Array(whole[12288...]))
}

@Test(
    arguments: [
        (Request.discard, 0, 129, 0, Answer.ioError), (Request.discard, 128, 1, 0, Answer.ioError), (Request.discard, .max, 1, 0, Answer.ioError),
        (Request.discard, 0, .max, 0, Answer.ioError), (Request.discard, 0, 0, 0, Answer.ioError), (Request.discard, 0, 8, 1, Answer.unsupported),
        (Request.writeZeroes, 0, 129, 0, Answer.ioError), (Request.writeZeroes, 1 << 55, 8, 1, Answer.ioError),
        (Request.writeZeroes, 0, 8, 2, Answer.unsupported), (Request.writeZeroes, 120, 9, 1, Answer.ioError),
    ] as [(UInt32, UInt64, UInt32, UInt32, UInt8)])
func rangesThatLeaveTheDiskAreErrors(type: UInt32, sector: UInt64, count: UInt32, flags: UInt32, expected: UInt8) throws {
    let file = try ScratchFile(blockPattern(65536))
    let disk = try BlockFixture(file, length: 65536)
    #expect(try disk.range(type, sector: sector, count: count, flags: flags) == expected)
    #expect(try file.bytes == blockPattern(65536))
}

/// 32 requests are one turn of the device; the driver asks for an interrupt at the first.
@Test(arguments: [(1, 1), (31, 1), (64, 2), (85, 3)]) func oneTurnAnswersManyRequests(count: Int, turns: Int) throws {
    let file = try ScratchFile(blockPattern(65536))
    let disk = try BlockFixture(file, length: 65536, readOnly: true)
    let driver = disk.driver
    let header = driver.allocate(16)
    let output = driver.allocate(512)
    let status = driver.allocate(1)
    for _ in 0..<count { try driver.queues[0].add(readable: [(header, 16)], writable: [(output, 512), (status, 1)]) }
    try driver.queues[0].publish()
    var rounds = 0
    while try driver.runOnce() { rounds += 1 }
    #expect(try driver.queues[0].takeUsed().count == count)
    #expect(driver.interrupts.count == 1)
    #expect(rounds >= turns)
}

// MARK: A host that fails

@Test func aFileThatBecameShorterIsReported() throws {
    let file = try ScratchFile(blockPattern(8192))
    let disk = try BlockFixture(file, length: 8192, readOnly: true)
    ftruncate(file.raw, 4096)
    #expect(try disk.request(Request.read, room: 8192).status == Answer.ioError)
    #expect(disk.hostFailure?.description == "disk scratch: read at byte 4096: Input/output error")
}

@Test func aFullHostDiskIsReportedOnceWithItsReason() throws {
    let full = ScratchFile(owning: try OwnedDescriptor.open("/dev/full", O_RDWR))
    let disk = try BlockFixture(full, length: 8192)
    #expect(try disk.request(Request.write, sector: 1, data: blockPattern(512)).status == Answer.ioError)
    #expect(try disk.request(Request.write, sector: 2, data: blockPattern(512)).status == Answer.ioError)
    #expect(disk.hostFailure?.errno == ENOSPC)
    #expect(disk.hostFailure?.description == "disk scratch: write at byte 512: No space left on device")
    #expect(disk.metrics.hostErrors == 2)
}

/// In the package's own directory, which is on a disk more often than /tmp is.
@Test func readsThatMissTheHostsMemoryComeLater() throws {
    let directory = #filePath.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 }
    let file = ScratchFile(owning: try OwnedDescriptor.open(directory, O_RDWR | CLINUX_O_TMPFILE, mode: 0o600))
    let contents = blockPattern(1 << 20)
    try writeAll(file.raw, contents)
    let disk = try BlockFixture(file, length: 1 << 20, readOnly: true)
    let driver = disk.driver
    fsync(file.raw)
    posix_fadvise(file.raw, 0, 0, POSIX_FADV_DONTNEED)
    let buffers = try (0..<8).map { (number: UInt64) -> GuestAddress in
        let header = driver.allocate(16)
        try driver.memory.store(number * 256, at: GuestAddress(header.value + 8))
        let output = driver.allocate(4097)
        try driver.queues[0].add(readable: [(header, 16)], writable: [(output, 4097)])
        return output
    }
    try driver.queues[0].publish()
    try driver.settle()
    #expect(try driver.queues[0].takeUsed().count == 8)
    for (number, output) in buffers.enumerated() {
        #expect(try driver.memory.read(4097, at: output) == Array(contents[number << 17..<number << 17 + 4096]) + [Answer.ok])
    }
    #expect(disk.metrics.succeeded == 8)
    #expect(disk.hostFailure == nil)
}

@Test func backendsThatAreNoDisksAreRefused() throws {
    let file = try ScratchFile(size: 8192)
    let disk = { (extents: [(UInt64, UInt64)], access: BlockAccess) throws(VirtioDevicesError) in
        try BlockBackend.concatenation(of: extents.map { (file.raw, $0.0, $0.1) }, name: "d", access: access)
    }
    #expect(throws: VirtioDevicesError.emptyDisk(name: "d")) { try disk([], .readOnly) }
    #expect(throws: VirtioDevicesError.emptyDisk(name: "d")) { try disk([(0, 0)], .readOnly) }
    #expect(throws: VirtioDevicesError.diskTooLarge(name: "d")) { try disk([(1, .max)], .readOnly) }
    #expect(throws: VirtioDevicesError.diskTooLarge(name: "d")) { try disk([(0, 1 << 62), (0, 1 << 62)], .readOnly) }
    #expect(throws: VirtioDevicesError.writableDisk(name: "d")) { try disk([(0, 700)], .inPlace) }
    #expect(throws: VirtioDevicesError.writableDisk(name: "d")) { try disk([(0, 512), (512, 512)], .ephemeral) }
    #expect(throws: VirtioDevicesError.serialTooLong("123456789012345678901")) {
        try Block(try disk([(0, 512)], .inPlace), serial: "123456789012345678901")
    }
}

@Test(
    arguments: [
        [(0, 0, 4096), (0, 0, 4096)], [(4096, 0, 4096), (0, 0, 4096)], [(1, 0, 4096)], [(0, 0, 4097), (4096, 0, 1)], [(8192, 0, 4097)],
        [(12288, 0, 1)],
    ] as [[(UInt64, UInt64, UInt64)]])
func extentsLieApartFromEachOtherOnTheDisk(extents: [(position: UInt64, offset: UInt64, length: UInt64)]) {
    let extents = extents.map { BlockExtent(position: $0.position, descriptor: 0, offset: $0.offset, length: $0.length) }
    #expect(throws: VirtioDevicesError.overlappingExtents(name: "d")) {
        try BlockBackend(extents: extents, size: 12288, name: "d", access: .readOnly)
    }
}

// MARK: A driver that lies

@Test func aRequestWithoutAStatusByteStopsTheDevice() throws {
    let file = try ScratchFile(size: 4096)
    let disk = try BlockFixture(file, length: 4096)
    let header = disk.driver.allocate(16)
    try disk.driver.queues[0].add(readable: [(header, 16)])
    try disk.driver.queues[0].publish()
    try disk.driver.settle()
    #expect(disk.driver.status & Status.needsReset != 0)
    try disk.driver.start()
    #expect(try disk.request(Request.read, room: 512).status == Answer.ok)
}

@Test func aBufferThatIsNoRAMFailsItsRequestAlone() throws {
    let file = try ScratchFile(blockPattern(4096))
    let disk = try BlockFixture(file, length: 4096)
    let driver = disk.driver
    let header = driver.allocate(16)
    let status = driver.allocate(1)
    try driver.memory.store(UInt8(0xEE), at: status)
    try driver.queues[0].add(readable: [(header, 16)], writable: [(GuestAddress(0xD000_0000), 512), (status, 1)])
    try driver.queues[0].publish()
    try driver.settle()
    #expect(try driver.memory.load(UInt8.self, at: status) == Answer.ioError)
    #expect(disk.metrics.badBuffers == 1)
    #expect(disk.hostFailure == nil)
    #expect(driver.status == Status.live)
}

@Test func theHeaderMayBeInPieces() throws {
    let file = try ScratchFile(blockPattern(4096))
    let disk = try BlockFixture(file, length: 4096)
    let driver = disk.driver
    let header = driver.allocate(16)
    try driver.memory.store(UInt64(1), at: GuestAddress(header.value + 8))
    let output = driver.allocate(513)
    let pieces = [(0, 1), (1, 6), (7, 9)].map { (GuestAddress(header.value + $0.0), $0.1) } as [(GuestAddress, Int)]
    try driver.queues[0].add(readable: pieces, writable: [(output, 200), (GuestAddress(output.value + 200), 313)])
    try driver.queues[0].publish()
    try driver.settle()
    #expect(try driver.memory.read(513, at: output) == Array(blockPattern(4096)[512..<1024]) + [Answer.ok])
}
