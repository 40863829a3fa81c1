// Archives that lie.
import Archive
import Testing

private func ascii(_ letter: Character) -> UInt8 { letter.asciiValue ?? 0 }

@Test(arguments: [
    (Block(patches: [0: [0]]), ArchiveError.name),
    (Block(type: ascii("1")), .name),
    (Block(type: ascii("Z")), .unknownType),
    (Block(size: "99999999999\0"), .number),
    (Block(patches: [124: [0xFF] + [UInt8](repeating: 0xFF, count: 11)]), .number),
    (Block(patches: [124: [0x80, 0, 0, 0, 0x7F] + [UInt8](repeating: 0xFF, count: 7)]), .number),
    (Block(patches: [108: [0x80] + [UInt8](repeating: 0xFF, count: 7)]), .number),
    (Block(type: ascii("x"), size: "77777777777\0"), .tooLong),
    (Block(type: ascii("L"), size: "00010000000\0"), .tooLong),
    (Block(type: ascii("x"), data: Array("99 path=a\n".utf8)), .extendedHeader),
    (Block(type: ascii("x"), data: Array("9 path=a".utf8)), .extendedHeader),
    (Block(type: ascii("x"), data: Array("-9 path=a\n".utf8)), .extendedHeader),
    (Block(type: ascii("x"), data: Array("4 =\n".utf8)), .extendedHeader),
    (Block(type: ascii("x"), data: Array("9 size=x\n".utf8)), .number),
    (Block(type: ascii("x"), data: Array("12 path=a\0b\n".utf8)), .name),
])
func aLyingHeaderIsRefused(block: Block, error: ArchiveError) {
    #expect(throws: error) { try readStream(block.bytes + Block().bytes) }
}

@Test(arguments: [
    "0,10,5,10", "0,18446744073709551615", "4294967296,1", "0,5", "1", "10,0,0,5,5,15", "9223372036854775807,9223372036854775807",
])
func anImpossibleSparseMapIsRefused(map: String) {
    let archive =
        Block.pax([("GNU.sparse.size", "100"), ("GNU.sparse.numblocks", "1"), ("GNU.sparse.map", map)]).bytes
        + Block(data: [UInt8](repeating: 1, count: 20)).bytes
    #expect(throws: ArchiveError.self) { try readStream(archive) }
}

@Test func aSparseMapThatNeverEndsIsRefused() {
    let header = Block.pax([("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "100")]).bytes
    #expect(throws: ArchiveError.sparseMap) { try readStream(header + Block(data: Array("5\n0\n".utf8)).bytes + Block().bytes) }
    #expect(throws: ArchiveError.tooLong) {
        try readStream(header + Block(data: Array("9999999999\n".utf8) + [UInt8](repeating: 0, count: 600)).bytes)
    }
}

@Test func everyTruncationWithinAMemberIsNoticed() throws {
    let archive = Block.pax([("path", "long")]).bytes + Block(data: [UInt8](repeating: 7, count: 600)).bytes
    let boundaries = [1, 511, 512, 513, 1023, 1024, 1025, 1536]
    for length in boundaries + Array(stride(from: 37, to: archive.count - 424, by: 61)) {
        #expect(throws: ArchiveError.truncated) { try readStream(Array(archive[..<length])) }
    }
    #expect(try readStream(archive).count == 1)
}

@Test func aDamagedHeaderIsNoticed() {
    var archive = Block().bytes
    archive[3] ^= 1
    #expect(throws: ArchiveError.checksum) { try readStream(archive) }
    #expect(throws: ArchiveError.checksum) { try readStream(Array("this is no archive".utf8) + [UInt8](repeating: 32, count: 600)) }
}

/// A cheap generator with a seed: a failure can be repeated.
private struct Generator {
    var state: UInt64

    mutating func next(below limit: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int(state >> 33) % limit
    }
}

@Test(arguments: 0..<8) func mutatedArchivesNeverTrap(seed: Int) throws {
    let sparse = Block.pax([("GNU.sparse.major", "1"), ("GNU.sparse.name", "s"), ("GNU.sparse.realsize", "900")]).bytes
    let map = Array("2\n0\n3\n600\n4\n".utf8)
    let original =
        Block.pax([("path", "p"), ("size", "5"), ("SCHILY.xattr.user.a", "b"), ("mtime", "-1.5")]).bytes
        + Block(data: [1, 2, 3, 4, 5]).bytes + sparse
        + Block(data: map + [UInt8](repeating: 0, count: 512 - map.count) + [1, 2, 3, 4, 5, 6, 7]).bytes
        + Block(type: ascii("L"), data: Array("name\0".utf8)).bytes + Block(type: ascii("2"), linkName: "t").bytes
        + Block(type: ascii("S"), magic: Array("ustar  \0".utf8), patches: [386: Array("00000000000\0".utf8), 482: [1]]).bytes
    var generator = Generator(state: UInt64(seed))
    for _ in 0..<2000 {
        var archive = original
        for _ in 0...generator.next(below: 4) {
            let block = generator.next(below: archive.count / 512) * 512
            archive[block + generator.next(below: 512)] = UInt8(generator.next(below: 256))
            // With a right checksum the mutation gets past the first gate.
            if generator.next(below: 4) > 0 { repairChecksum(&archive, block) }
        }
        if let members = try? readStream(archive, step: 1 + generator.next(below: 3000)) {
            for member in members { #expect(!member.entry.path.isEmpty && !member.entry.path.contains(0)) }
        }
        _ = try? readHeaders(archive)
    }
}

private func repairChecksum(_ archive: inout [UInt8], _ start: Int) {
    archive.replaceSubrange(start + 148..<start + 156, with: Array("        ".utf8))
    let sum = String(archive[start..<start + 512].reduce(0) { $0 + Int($1) }, radix: 8)
    archive.replaceSubrange(start + 148..<start + 156, with: Array((String(repeating: "0", count: 6 - sum.count) + sum + "\0 ").utf8))
}
