// A bounded, streaming parser of tar archives: ustar, pax, GNU and version 7, with all sparse formats. Pure: bytes in, members out; builds as Embedded Swift too.
//
// Two ways to use it:
//   - as a stream: feed bytes; after an `entry`, take the member's data out of the same bytes and say so with `consumeData`;
//   - by headers only: feed bytes from `position`; after an `entry`, call `skipData` and go on reading at the new `position`.

public struct ArchiveParser: Sendable {
    /// What `feed` came to.
    public enum Event: Equatable, Sendable {
        /// All bytes are consumed and the next member isn't complete.
        case needsMore
        case entry(ArchiveEntry)
        /// The archive's end marker: whatever follows belongs to no member.
        case end
    }

    /// The longest pax header or GNU long name, in bytes.
    public static let metadataLimit = 1 << 20
    /// The longest sparse map in front of a file's data, in bytes.
    public static let sparseMapLimit = 8 << 20
    /// No archive is larger than this; keeps every sum of offsets below overflow.
    static let sizeLimit: UInt64 = 1 << 60

    private enum State {
        case header
        /// The payload of a pax or GNU extension header of this type.
        case metadata(type: UInt8, remaining: Int)
        /// Old GNU sparse: extension blocks after the header.
        case sparseExtension(ArchiveEntry)
        /// pax sparse 1.0: map blocks in front of the data.
        case sparseMap(ArchiveEntry, SparseMapReader)
        case ended
    }

    /// Offset in the stream of the next byte that `feed` wants.
    public private(set) var position: UInt64 = 0
    /// Bytes of the current member's data that nobody has taken.
    public private(set) var dataRemaining: UInt64 = 0

    private var state = State.header
    private var padding: UInt64 = 0
    private var block: [UInt8] = []
    private var metadata: [UInt8] = []
    private var extensions = ArchiveExtensions()
    private var sawZeroBlock = false

    public init() { block.reserveCapacity(ArchiveHeader.blockLength) }

    /// Consumes bytes up to the next event. Data of a member that nobody took is passed over.
    public mutating func feed(_ bytes: Span<UInt8>, from start: Int = 0) throws(ArchiveError) -> (event: Event, consumed: Int) {
        var index = start
        while true {
            index += pass(bytes.count - index)
            if case .ended = state { return (.end, index - start) }
            guard index < bytes.count else { return (.needsMore, index - start) }
            guard dataRemaining == 0, padding == 0 else { continue }
            let wanted = min(ArchiveHeader.blockLength - block.count, bytes.count - index)
            for offset in index..<index + wanted { block.append(bytes[offset]) }
            index += wanted
            position += UInt64(wanted)
            guard block.count == ArchiveHeader.blockLength else { continue }
            let event = try blockComplete()
            block.removeAll(keepingCapacity: true)
            if let event { return (event, index - start) }
        }
    }

    /// The caller took `count` bytes of the member's data out of the stream itself.
    public mutating func consumeData(_ count: Int) {
        precondition(UInt64(count) <= dataRemaining, "more data than the member has")
        dataRemaining -= UInt64(count)
        position += UInt64(count)
    }

    /// Moves `position` behind the member's data without seeing it.
    public mutating func skipData() {
        position += dataRemaining + padding
        dataRemaining = 0
        padding = 0
    }

    /// The stream has ended. Archives without end markers are common; an end within a member is an error.
    public func finish() throws(ArchiveError) {
        if case .ended = state { return }
        guard case .header = state, block.isEmpty, dataRemaining == 0, extensionsAreClean else { throw .truncated }
    }

    private var extensionsAreClean: Bool { extensions.path == nil && extensions.linkPath == nil && extensions.size == nil }

    /// Data and padding that lie in front of the next header.
    private mutating func pass(_ available: Int) -> Int {
        var passed = 0
        let data = Int(min(dataRemaining, UInt64(available)))
        dataRemaining -= UInt64(data)
        passed += data
        if dataRemaining == 0 {
            let blanks = Int(min(padding, UInt64(available - passed)))
            padding -= UInt64(blanks)
            passed += blanks
        }
        position += UInt64(passed)
        return passed
    }

    private mutating func blockComplete() throws(ArchiveError) -> Event? {
        switch state {
        case .header: return try headerComplete()
        case .metadata(let type, let remaining): return try metadataBlockComplete(type: type, remaining: remaining)
        case .sparseExtension(var entry):
            let (segments, continues) = try ArchiveHeader.sparseExtension(block)
            entry.segments = (entry.segments ?? []) + segments
            guard (entry.segments ?? []).count <= Self.sparseMapLimit / 24 else { throw .tooLong }
            state = .sparseExtension(entry)
            return continues ? nil : .entry(try begin(entry))
        case .sparseMap(var entry, var reader):
            guard entry.storedSize >= UInt64(ArchiveHeader.blockLength) else { throw .sparseMap }
            entry.storedSize -= UInt64(ArchiveHeader.blockLength)
            let segments = try reader.add(block)
            state = .sparseMap(entry, reader)
            guard let segments else { return nil }
            entry.segments = segments
            return .entry(try begin(entry))
        case .ended: return .end
        }
    }

    private mutating func headerComplete() throws(ArchiveError) -> Event? {
        if block.allSatisfy({ $0 == 0 }) {
            // The end is two blocks of zeros; a single one is passed over, as GNU tar does.
            if sawZeroBlock {
                state = .ended
                return .end
            }
            sawZeroBlock = true
            return nil
        }
        sawZeroBlock = false
        guard ArchiveHeader.hasValidChecksum(block) else { throw .checksum }
        let type = ArchiveHeader.type(block)
        switch type {
        case UInt8(ascii: "x"), UInt8(ascii: "X"), UInt8(ascii: "L"), UInt8(ascii: "K"):
            let length = try ArchiveHeader.size(block)
            guard length <= UInt64(Self.metadataLimit) else { throw .tooLong }
            metadata.removeAll(keepingCapacity: false)
            state = .metadata(type: type, remaining: Int(length))
            return length == 0 ? try metadataBlockComplete(type: type, remaining: 0) : nil
        case UInt8(ascii: "g"), UInt8(ascii: "V"):
            // Global headers (git's comment) and volume labels say nothing about any file.
            try setData(length: try ArchiveHeader.size(block))
            return nil
        default:
            return try memberHeaderComplete(type)
        }
    }

    private mutating func metadataBlockComplete(type: UInt8, remaining: Int) throws(ArchiveError) -> Event? {
        let taken = min(remaining, block.count)
        if remaining > 0 {
            metadata.append(contentsOf: block[..<taken])
            state = .metadata(type: type, remaining: remaining - taken)
        }
        guard remaining == taken else { return nil }
        state = .header
        switch type {
        case UInt8(ascii: "L"): extensions.path = try ArchiveExtensions.name(metadata.prefix { $0 != 0 })
        case UInt8(ascii: "K"): extensions.linkPath = try ArchiveExtensions.name(metadata.prefix { $0 != 0 })
        default: try extensions.addRecords(metadata)
        }
        metadata = []
        return nil
    }

    private mutating func memberHeaderComplete(_ type: UInt8) throws(ArchiveError) -> Event? {
        let extensions = self.extensions
        self.extensions = ArchiveExtensions()
        var entry = try ArchiveParser.member(type, block, extensions)
        guard !entry.path.isEmpty else { throw .name }
        guard entry.kind == .file else { return .entry(try begin(entry)) }

        if type == UInt8(ascii: "S") {
            let (segments, continues, realSize) = try ArchiveHeader.sparse(block)
            entry.segments = segments
            entry.size = realSize
            state = .sparseExtension(entry)
            return continues ? nil : .entry(try begin(entry))
        }
        if let name = extensions.sparse.name { entry.path = name }
        if extensions.sparse.major == 1 {
            guard let realSize = extensions.sparse.realSize else { throw .sparseMap }
            entry.size = realSize
            state = .sparseMap(entry, SparseMapReader())
            return nil
        }
        if extensions.sparse.hasMap, let realSize = extensions.sparse.realSize {
            entry.size = realSize
            entry.segments = try SparseMapReader.segments(extensions.sparse.numbers)
        }
        return .entry(try begin(entry))
    }

    private static func member(_ type: UInt8, _ block: [UInt8], _ extensions: ArchiveExtensions) throws(ArchiveError) -> ArchiveEntry {
        let path = extensions.path ?? ArchiveHeader.path(block)
        let kind = try kind(type, path)
        let isLink = kind == .hardLink || kind == .symbolicLink
        let isDevice = kind == .characterDevice || kind == .blockDevice
        let device = isDevice ? try ArchiveHeader.device(block) : (0, 0)
        // Only files have data, whatever a header of another type says (as Go's archive/tar reads it).
        let size: UInt64 =
            if kind != .file { 0 } else if let size = extensions.size { size } else { try ArchiveHeader.size(block) }
        let linkTarget = isLink ? extensions.linkPath ?? ArchiveHeader.linkName(block) : []
        if isLink && linkTarget.isEmpty { throw .name }
        // A pax record replaces a field that may be unreadable because the value doesn't fit.
        let userID = if let userID = extensions.userID { userID } else { try ArchiveHeader.userID(block) }
        let groupID = if let groupID = extensions.groupID { groupID } else { try ArchiveHeader.groupID(block) }
        let modified = if let modified = extensions.modified { modified } else { try ArchiveHeader.modified(block) }
        return ArchiveEntry(
            kind: kind, path: path, linkTarget: linkTarget, mode: try ArchiveHeader.mode(block),
            userID: userID, groupID: groupID, modified: modified, deviceMajor: device.0, deviceMinor: device.1,
            size: size, storedSize: size, dataOffset: 0, segments: nil, attributes: extensions.attributes)
    }

    private static func kind(_ type: UInt8, _ path: [UInt8]) throws(ArchiveError) -> ArchiveEntryKind {
        switch type {
        // A trailing slash made a directory before there was a type for it.
        case 0: path.last == 0x2F ? .directory : .file
        case UInt8(ascii: "0"), UInt8(ascii: "7"), UInt8(ascii: "S"): .file
        case UInt8(ascii: "1"): .hardLink
        case UInt8(ascii: "2"): .symbolicLink
        case UInt8(ascii: "3"): .characterDevice
        case UInt8(ascii: "4"): .blockDevice
        case UInt8(ascii: "5"): .directory
        case UInt8(ascii: "6"): .fifo
        default: throw .unknownType
        }
    }

    /// The member is complete: its data come next.
    private mutating func begin(_ member: ArchiveEntry) throws(ArchiveError) -> ArchiveEntry {
        var entry = member
        guard entry.size <= Self.sizeLimit else { throw .number }
        if let segments = entry.segments {
            try SparseMapReader.check(segments, size: entry.size, storedSize: entry.storedSize)
        }
        try setData(length: entry.storedSize)
        entry.dataOffset = position
        state = .header
        return entry
    }

    private mutating func setData(length: UInt64) throws(ArchiveError) {
        guard length <= Self.sizeLimit, position <= Self.sizeLimit else { throw .number }
        let blockLength = UInt64(ArchiveHeader.blockLength)
        dataRemaining = length
        padding = (blockLength - length % blockLength) % blockLength
    }
}
