// Disks whose changes are kept apart: what the driver reads is what it wrote, what was shared stays as it was, and every sealed stage can be shown again.
import DeviceTesting
import Glibc
import Testing
import Virtio
import VirtioTesting

@testable import VirtioDevices

private let blockSize = 4096

private func bytes(_ seed: UInt8, blocks: Int) -> [UInt8] { blockPattern(blocks * blockSize, seed: Int(seed)) }

/// A disk of 16 blocks: 4 of a shared file, 4 zeros, 2 of what the first stage began with, 6 zeros.
private final class Fixture {
    let shared: ScratchFile
    let changes: [ScratchFile]
    let disk: BlockFixture
    private(set) var expected: [UInt8]

    init(stages: Int = 2, blocks: Int = 16, limit: UInt64 = .max) throws {
        shared = try ScratchFile(bytes(1, blocks: 4))
        changes = try [ScratchFile(bytes(2, blocks: 2))] + (1..<max(stages, 1)).map { _ in try ScratchFile([]) }
        expected = bytes(1, blocks: 4) + [UInt8](repeating: 0, count: 4 * blockSize) + bytes(2, blocks: 2)
        expected += [UInt8](repeating: 0, count: (blocks - 10) * blockSize)
        let content = try BlockBackend(
            extents: [
                BlockExtent(position: 0, descriptor: shared.raw, offset: 0, length: 16384),
                BlockExtent(position: 32768, descriptor: changes[0].raw, offset: 0, length: 8192),
            ], size: UInt64(blocks * blockSize), name: "image", access: .readOnly)
        disk = try BlockFixture(CopyOnWrite(content: content, files: changes.map(\.raw), started: 8192, limit: limit))
    }

    func write(_ block: Int, _ data: [UInt8]) throws -> UInt8 {
        let status = try disk.request(Request.write, sector: UInt64(block * 8), data: data).status
        if status == Answer.ok { expected.replaceSubrange(block * blockSize..<block * blockSize + data.count, with: data) }
        return status
    }

    /// The device's content in requests of `step` bytes.
    func content(step: Int = 3 * 512) throws -> [UInt8] {
        var read: [UInt8] = []
        while read.count < expected.count {
            let (status, piece) = try disk.request(Request.read, sector: UInt64(read.count / 512), room: min(step, expected.count - read.count))
            #expect(status == Answer.ok)
            read += piece
        }
        return read
    }

    func seal(limit: Int = 100) -> [BlockExtent]? { disk.driver.transport.withDevice { ($0 as? Block)?.seal(limit: limit) } }
}

@Test func whatWasSharedStaysAsItWas() throws {
    let fixture = try Fixture()
    #expect(try fixture.content() == fixture.expected)
    // Over the end of the shared file, over zeros, and over what the stage began with.
    #expect(try fixture.write(3, bytes(7, blocks: 2)) == Answer.ok)
    #expect(try fixture.write(8, bytes(8, blocks: 3)) == Answer.ok)
    #expect(try fixture.write(4, bytes(9, blocks: 1)) == Answer.ok)
    for step in [512, 1536, 4096, 65536] { #expect(try fixture.content(step: step) == fixture.expected) }
    #expect(try fixture.shared.bytes == bytes(1, blocks: 4))
    // 2 that were there, 2 new ones, 1 new one; the others were overwritten in place.
    #expect(try fixture.changes[0].bytes.count == 5 * blockSize)
}

@Test func aSealedStageCanBeShownAgain() throws {
    let fixture = try Fixture()
    #expect(try fixture.write(1, bytes(7, blocks: 1)) == Answer.ok)
    let first = fixture.expected
    let extents = try #require(fixture.seal())
    #expect(extents.map(\.position) == [0, 4096, 8192, 32768])
    #expect(try fixture.write(1, bytes(8, blocks: 9)) == Answer.ok)
    #expect(try fixture.content() == fixture.expected)
    let second = try #require(fixture.seal())
    // Everything is sealed: nothing takes a write any more.
    #expect(try fixture.write(0, bytes(9, blocks: 1)) == Answer.ioError)
    for (stage, expected) in [(extents, first), (second, fixture.expected)] {
        let backend = try BlockBackend(extents: stage, size: UInt64(expected.count), name: "again", access: .readOnly)
        #expect(try BlockFixture(backend).request(Request.read, room: expected.count).read == expected)
    }
}

@Test(arguments: [(1, 4096), (0, 512), (0, 4608), (15 * 8, 8192), (16 * 8, 4096)] as [(UInt64, Int)])
func onlyWholeBlocksAreWritten(sector: UInt64, count: Int) throws {
    let fixture = try Fixture()
    #expect(try fixture.disk.request(Request.write, sector: sector, data: blockPattern(count)).status == Answer.ioError)
    #expect(try fixture.content() == fixture.expected)
    #expect(fixture.disk.hostFailure == nil)
    #expect(fixture.disk.driver.transport.read(offset: MMIO.configuration + 20, size: 4) == 4096)
}

@Test func discardsAreNotOffered() throws {
    let fixture = try Fixture()
    #expect(try fixture.disk.request(11, data: [UInt8](repeating: 0, count: 16)).status == Answer.unsupported)
    #expect(try fixture.disk.request(Request.flush).status == Answer.ok)
}

@Test func allStagesTogetherTakeNoMoreThanTheDiskHas() throws {
    let fixture = try Fixture(stages: 4)
    // 2 blocks were there at the start; room is left for 16.
    for stage in 0..<2 {
        #expect(try fixture.write(0, bytes(UInt8(stage), blocks: 7)) == Answer.ok)
        #expect(fixture.seal() != nil)
    }
    #expect(try fixture.write(0, bytes(9, blocks: 2)) == Answer.ok)
    #expect(try fixture.disk.request(Request.write, data: bytes(9, blocks: 3)).status == Answer.ioError)
    #expect(fixture.disk.hostFailure?.errno == ENOSPC)
    // A disk that lost something is never described.
    #expect(fixture.seal() == nil)
}

@Test func theHostLimitsWhatIsWritten() throws {
    let fixture = try Fixture(limit: 8191)
    #expect(try fixture.write(0, bytes(3, blocks: 1)) == Answer.ok)
    // Again, and over what was there at the start: no block more.
    #expect(try fixture.write(0, bytes(4, blocks: 1)) == Answer.ok)
    #expect(try fixture.write(8, bytes(5, blocks: 2)) == Answer.ok)
    #expect(try fixture.write(1, bytes(6, blocks: 1)) == Answer.ioError)
    #expect(fixture.disk.hostFailure?.errno == ENOSPC)
}

@Test func aDiskInTooManyPiecesIsNotDescribed() throws {
    let fixture = try Fixture()
    for block in [15, 13, 11] { #expect(try fixture.write(block, bytes(5, blocks: 1)) == Answer.ok) }
    #expect(fixture.seal(limit: 4) == nil)
}

@Test(arguments: 1...8 as ClosedRange<UInt64>) func aDiskIsWhatWasWrittenToIt(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    // Beyond one leaf of the table of changes.
    let fixture = try Fixture(stages: 6, blocks: 1100)
    var stages: [(extents: [BlockExtent], content: [UInt8])] = []
    for _ in 0..<5 {
        for _ in 0..<30 {
            let start = Int.random(in: 0..<1100, using: &random)
            let count = Int.random(in: 1...min(8, 1100 - start), using: &random)
            #expect(try fixture.write(start, bytes(UInt8.random(in: 0...255, using: &random), blocks: count)) == Answer.ok)
        }
        stages.append((try #require(fixture.seal(limit: 1000)), fixture.expected))
    }
    #expect(try fixture.content(step: 64 << 10) == fixture.expected)
    for (extents, content) in stages {
        let backend = try BlockBackend(extents: extents, size: UInt64(content.count), name: "again", access: .readOnly)
        let disk = try BlockFixture(backend)
        for start in stride(from: 0, to: content.count, by: 128 << 10) {
            let end = min(start + 128 << 10, content.count)
            #expect(try disk.request(Request.read, sector: UInt64(start / 512), room: end - start).read == Array(content[start..<end]))
        }
    }
}

@Test func mapsThatAreNoDisksAreRefused() throws {
    let file = try ScratchFile(size: 8192)
    let content = { (size: UInt64) throws(VirtioDevicesError) in
        try BlockBackend(
            extents: [BlockExtent(position: 0, descriptor: file.raw, offset: 0, length: 4096)], size: size, name: "d", access: .readOnly)
    }
    let damaged = VirtioDevicesError.damagedMap(name: "d")
    #expect(throws: damaged) { try CopyOnWrite(content: content(8192), files: [], started: 0) }
    #expect(throws: damaged) { try CopyOnWrite(content: content(8193), files: [file.raw], started: 0) }
    #expect(throws: damaged) { try CopyOnWrite(content: content(8192), files: [file.raw], started: 1) }
    #expect(throws: damaged) { try CopyOnWrite(content: content(1 << 45), files: [file.raw], started: 0) }
}
