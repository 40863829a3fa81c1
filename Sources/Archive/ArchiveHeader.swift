// One 512-byte header block: POSIX.1-1988 ustar, GNU tar's older variant of it, star's, and the version 7 format before all of them.

/// The offsets of a header's fields (POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format").
private enum Field {
    static let name = 0..<100
    static let mode = 100..<108
    static let userID = 108..<116
    static let groupID = 116..<124
    static let size = 124..<136
    static let modified = 136..<148
    static let checksum = 148..<156
    static let type = 156
    static let linkName = 157..<257
    static let magic = 257..<265
    static let deviceMajor = 329..<337
    static let deviceMinor = 337..<345
    static let prefix = 345..<500
    /// star keeps times behind a shorter prefix and signs at the block's end.
    static let shortPrefix = 345..<476
    static let starMagic = 508..<512
    static let sparse = 386..<482
    static let sparseContinues = 482
    static let realSize = 483..<495
    static let extensionSparse = 0..<504
    static let extensionContinues = 504
}

enum ArchiveHeader {
    static let blockLength = 512

    /// POSIX sums unsigned bytes; some old programs summed signed ones. The checksum's own field counts as blanks.
    static func hasValidChecksum(_ block: [UInt8]) -> Bool {
        guard let stored = try? ArchiveNumber.count(block[Field.checksum]) else { return false }
        var unsignedSum: UInt64 = 0
        var signedSum: Int64 = 0
        for index in 0..<blockLength {
            let byte = Field.checksum.contains(index) ? 0x20 : block[index]
            unsignedSum += UInt64(byte)
            signedSum += Int64(Int8(bitPattern: byte))
        }
        return stored == unsignedSum || Int64(stored) == signedSum
    }

    static func type(_ block: [UInt8]) -> UInt8 { block[Field.type] }
    static func size(_ block: [UInt8]) throws(ArchiveError) -> UInt64 { try ArchiveNumber.count(block[Field.size]) }
    static func mode(_ block: [UInt8]) throws(ArchiveError) -> UInt32 {
        UInt32(truncatingIfNeeded: try ArchiveNumber.field(block[Field.mode])) & 0o7777
    }
    static func userID(_ block: [UInt8]) throws(ArchiveError) -> UInt32 { try ArchiveNumber.identifier(block[Field.userID]) }
    static func groupID(_ block: [UInt8]) throws(ArchiveError) -> UInt32 { try ArchiveNumber.identifier(block[Field.groupID]) }
    static func modified(_ block: [UInt8]) throws(ArchiveError) -> ArchiveTime {
        ArchiveTime(seconds: try ArchiveNumber.field(block[Field.modified]), nanoseconds: 0)
    }
    static func linkName(_ block: [UInt8]) -> [UInt8] { string(block[Field.linkName]) }

    /// Only ustar and its kin have device numbers; before that the bytes mean nothing.
    static func device(_ block: [UInt8]) throws(ArchiveError) -> (major: UInt32, minor: UInt32) {
        guard format(block) != .version7 else { return (0, 0) }
        return (try ArchiveNumber.identifier(block[Field.deviceMajor]), try ArchiveNumber.identifier(block[Field.deviceMinor]))
    }

    /// The name with its prefix, where the format has one.
    static func path(_ block: [UInt8]) -> [UInt8] {
        let name = string(block[Field.name])
        let prefix: [UInt8]
        switch format(block) {
        case .ustar: prefix = string(block[Field.prefix])
        case .star: prefix = string(block[Field.shortPrefix])
        case .gnu, .version7: prefix = []
        }
        return prefix.isEmpty ? name : prefix + [0x2F] + name
    }

    /// Four segments and whether extension blocks follow (GNU tar manual, "Old GNU Format").
    static func sparse(_ block: [UInt8]) throws(ArchiveError) -> (segments: [ArchiveSegment], continues: Bool, realSize: UInt64) {
        (try segments(block[Field.sparse]), block[Field.sparseContinues] != 0, try ArchiveNumber.count(block[Field.realSize]))
    }

    /// Twenty-one more segments.
    static func sparseExtension(_ block: [UInt8]) throws(ArchiveError) -> (segments: [ArchiveSegment], continues: Bool) {
        (try segments(block[Field.extensionSparse]), block[Field.extensionContinues] != 0)
    }

    private static func segments(_ bytes: ArraySlice<UInt8>) throws(ArchiveError) -> [ArchiveSegment] {
        var segments: [ArchiveSegment] = []
        var index = bytes.startIndex
        while index + 24 <= bytes.endIndex, bytes[index] != 0 {
            segments.append(
                ArchiveSegment(
                    offset: try ArchiveNumber.count(bytes[index..<index + 12]),
                    length: try ArchiveNumber.count(bytes[index + 12..<index + 24])))
            index += 24
        }
        return segments
    }

    private enum Format { case version7, ustar, star, gnu }

    private static func format(_ block: [UInt8]) -> Format {
        let magic = block[Field.magic]
        if magic.elementsEqual([0x75, 0x73, 0x74, 0x61, 0x72, 0x20, 0x20, 0]) { return .gnu }
        guard magic.prefix(6).elementsEqual([0x75, 0x73, 0x74, 0x61, 0x72, 0]) else { return .version7 }
        return block[Field.starMagic].elementsEqual([0x74, 0x61, 0x72, 0]) ? .star : .ustar
    }

    private static func string(_ bytes: ArraySlice<UInt8>) -> [UInt8] { Array(bytes.prefix { $0 != 0 }) }
}
