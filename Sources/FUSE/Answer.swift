// What the guest's kernel is answered (the same header file).
//
//   fuse_out_header: length, error, unique │ what the operation has

/// What `stat(2)` tells, as the protocol has it.
public struct Attributes: Equatable, Sendable {
    public var inode: UInt64 = 0
    /// In bytes.
    public var size: UInt64 = 0
    /// Of 512 bytes.
    public var blocks: UInt64 = 0
    public var accessed = FileTime(seconds: 0, nanoseconds: 0)
    public var modified = FileTime(seconds: 0, nanoseconds: 0)
    public var changed = FileTime(seconds: 0, nanoseconds: 0)
    /// Type and permissions.
    public var mode: UInt32 = 0
    public var links: UInt32 = 0
    public var user: UInt32 = 0
    public var group: UInt32 = 0
    /// Of a device node: as Linux's `new_encode_dev`.
    public var device: UInt32 = 0
    /// The best size of a transfer, in bytes.
    public var blockSize: UInt32 = 0
    /// The root of another file system (FUSE_ATTR_SUBMOUNT): the guest gives it a device number of its own.
    public var isMountPoint = false

    public init() {}
}

/// An answer that names a file: how the guest may call it from now on, and for how long it may believe this.
public struct Entry: Equatable, Sendable {
    /// 0: there is no such file, which may be believed as long.
    public var node: UInt64
    public var attributes: Attributes
    public var validity: Validity

    public init(node: UInt64, attributes: Attributes, validity: Validity) {
        self.node = node
        self.attributes = attributes
        self.validity = validity
    }
}

/// For how long a guest may believe names and attributes, in nanoseconds.
public struct Validity: Equatable, Sendable {
    public var entry: UInt64
    public var attributes: UInt64

    public init(entry: UInt64, attributes: UInt64) {
        self.entry = entry
        self.attributes = attributes
    }
}

/// What a server makes of a guest's greeting.
public struct Welcome: Equatable, Sendable {
    /// In bytes.
    public var readAhead: UInt32
    /// Of what was offered.
    public var flags: UInt64
    /// The most that one WRITE brings, in bytes.
    public var writeLimit: UInt32

    public init(readAhead: UInt32, flags: UInt64, writeLimit: UInt32) {
        self.readAhead = readAhead
        self.flags = flags
        self.writeLimit = writeLimit
    }
}

/// What `statfs(2)` tells.
public struct FileSystemStatus: Equatable, Sendable {
    /// Of `fragmentSize`.
    public var blocks: UInt64 = 0
    public var freeBlocks: UInt64 = 0
    public var availableBlocks: UInt64 = 0
    public var files: UInt64 = 0
    public var freeFiles: UInt64 = 0
    /// In bytes.
    public var blockSize: UInt32 = 0
    public var fragmentSize: UInt32 = 0
    public var nameLength: UInt32 = 0

    public init() {}
}

/// Bytes of an answer, its header included.
public struct Answer: Equatable, Sendable {
    /// In bytes.
    public static let headerLength = 16
    /// Of an entry, `fuse_entry_out`, in bytes.
    public static let entryLength = 128
    /// Of `fuse_open_out`, in bytes.
    static let openLength = 16
    public static let protocolMajor: UInt32 = 7
    public static let protocolMinor: UInt32 = 41

    public private(set) var bytes: [UInt8]

    /// An answer that another process gave to `unique`: nil where it is none.
    public init?(to unique: UInt64, received bytes: [UInt8]) {
        guard bytes.count >= Self.headerLength else { return nil }
        self.bytes = bytes
        guard integer(at: 0) == UInt32(bytes.count), self.unique == unique else { return nil }
    }

    /// The header of an answer whose other `count` bytes are elsewhere.
    public init(to unique: UInt64, following count: UInt32) {
        self.init(to: unique)
        setLength(UInt32(Self.headerLength) + count)
    }

    public var unique: UInt64 { UInt64(integer(at: 8)) | UInt64(integer(at: 12)) << 32 }

    /// Whether it tells of no error.
    public var isSuccess: Bool { integer(at: 4) == 0 }

    /// The node of an answer that begins with an entry.
    public var node: UInt64 {
        guard bytes.count >= Self.headerLength + Self.entryLength else { return 0 }
        return UInt64(integer(at: Self.headerLength)) | UInt64(integer(at: Self.headerLength + 4)) << 32
    }

    /// Puts a handle where `RequestHeader.Part` says; false where there is no room.
    public mutating func setHandle(_ handle: UInt64, at offset: Int) -> Bool {
        guard bytes.count >= offset + 8 else { return false }
        for index in 0..<8 { bytes[offset + index] = UInt8(truncatingIfNeeded: handle >> UInt64(8 * index)) }
        return true
    }

    private func integer(at offset: Int) -> UInt32 { (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << UInt32(8 * $1) } }

    /// To `unique`: it went wrong. `errno` as in Linux, positive.
    public init(to unique: UInt64, errno: Int32) {
        bytes = []
        header(unique, error: -errno)
    }

    /// It went well.
    public init(to unique: UInt64) {
        bytes = []
        header(unique, error: 0)
    }

    public init(to unique: UInt64, bytes contents: [UInt8]) {
        self.init(to: unique)
        bytes += contents
        seal()
    }

    public init(to unique: UInt64, _ entry: Entry) {
        self.init(to: unique)
        append(entry)
        seal()
    }

    public init(to unique: UInt64, _ attributes: Attributes, validity: UInt64) {
        self.init(to: unique)
        append(validity / 1_000_000_000)
        append(UInt32(validity % 1_000_000_000))
        append(UInt32(0))
        append(attributes)
        seal()
    }

    /// `flags`: FOPEN_*.
    public init(to unique: UInt64, handle: UInt64, flags: UInt32) {
        self.init(to: unique)
        append(handle)
        append(flags)
        append(UInt32(0))
        seal()
    }

    /// Both, for a file that was made and opened at once.
    public init(to unique: UInt64, _ entry: Entry, handle: UInt64, flags: UInt32) {
        self.init(to: unique)
        append(entry)
        append(handle)
        append(flags)
        append(UInt32(0))
        seal()
    }

    /// A count of bytes: what was written, or what an extended attribute takes.
    public init(to unique: UInt64, count: UInt32) {
        self.init(to: unique)
        append(count)
        append(UInt32(0))
        seal()
    }

    public init(to unique: UInt64, offset: UInt64) {
        self.init(to: unique)
        append(offset)
        seal()
    }

    public init(to unique: UInt64, _ status: FileSystemStatus) {
        self.init(to: unique)
        for count in [status.blocks, status.freeBlocks, status.availableBlocks, status.files, status.freeFiles] { append(count) }
        for size in [status.blockSize, status.nameLength, status.fragmentSize, 0] { append(size) }
        for _ in 0..<6 { append(UInt32(0)) }
        seal()
    }

    public init(to unique: UInt64, _ welcome: Welcome) {
        self.init(to: unique)
        append(Self.protocolMajor)
        append(Self.protocolMinor)
        append(welcome.readAhead)
        append(UInt32(truncatingIfNeeded: welcome.flags))
        append(UInt16(0))  // max_background: the guest's own
        append(UInt16(0))  // congestion_threshold
        append(welcome.writeLimit)
        append(UInt32(1))  // time_gran, in nanoseconds
        append(UInt16(clamping: (welcome.writeLimit + 4095) / 4096))  // max_pages
        append(UInt16(0))  // map_alignment
        append(UInt32(truncatingIfNeeded: welcome.flags >> 32))
        for _ in 0..<7 { append(UInt32(0)) }
        seal()
    }

    /// What a directory holds, as far as it fits.
    public init(to unique: UInt64, _ listing: Listing) { self.init(to: unique, bytes: listing.bytes) }

    /// A directory that was opened, and the beginning of what it holds: for a receiver between server and guest (`takeListing`).
    public init(to unique: UInt64, handle: UInt64, ahead listing: Listing) {
        self.init(to: unique, handle: handle, flags: 0)
        bytes += listing.bytes
        seal()
    }

    /// The handle of a directory that was opened, and what came with it, which this answer is without then. Nil of any other answer.
    public mutating func takeListing() -> (handle: UInt64, listing: [UInt8])? {
        guard isSuccess, bytes.count >= Self.headerLength + Self.openLength else { return nil }
        let handle = UInt64(integer(at: Self.headerLength)) | UInt64(integer(at: Self.headerLength + 4)) << 32
        let listing = Array(bytes[(Self.headerLength + Self.openLength)...])
        bytes.removeLast(listing.count)
        seal()
        return (handle, listing)
    }

    /// What follows the header.
    public var contents: ArraySlice<UInt8> { bytes[Self.headerLength...] }

    // MARK: Fields

    private mutating func header(_ unique: UInt64, error: Int32) {
        // What most answers take.
        bytes.reserveCapacity(Self.headerLength + Self.entryLength + 16)
        append(UInt32(Self.headerLength))
        append(UInt32(bitPattern: error))
        append(unique)
    }

    /// The length, now that it is known.
    private mutating func seal() { setLength(UInt32(bytes.count)) }

    private mutating func setLength(_ length: UInt32) {
        for offset in 0..<4 { bytes[offset] = UInt8(truncatingIfNeeded: length >> UInt32(8 * offset)) }
    }

    private mutating func append(_ value: some FixedWidthInteger) { bytes.appendLittleEndian(value) }
    private mutating func append(_ entry: Entry) { bytes.append(entry) }
    private mutating func append(_ attributes: Attributes) { bytes.append(attributes) }
}

/// `fuse_dirent` and `fuse_direntplus`, one after the other.
public struct Listing: Equatable, Sendable {
    /// In bytes.
    public let limit: Int
    private let hasEntries: Bool
    public private(set) var bytes: [UInt8] = []

    /// `limit`: in bytes. `hasEntries`: what each name is comes with it, for READDIRPLUS.
    public init(limit: Int, hasEntries: Bool) {
        self.limit = limit
        self.hasEntries = hasEntries
        bytes.reserveCapacity(limit)
    }

    /// False where it doesn't fit. `next`: where reading goes on behind it. `type`: DT_*. Without an `entry` the guest looks the name up when it needs it.
    public mutating func append(_ name: [UInt8], inode: UInt64, type: UInt32, next: UInt64, entry: Entry? = nil) -> Bool {
        let length = (hasEntries ? Answer.entryLength : 0) + (24 + name.count + 7) / 8 * 8
        guard length <= limit - bytes.count else { return false }
        let end = bytes.count + length
        if hasEntries { bytes.append(entry ?? Entry(node: 0, attributes: Attributes(), validity: Validity(entry: 0, attributes: 0))) }
        let words: [3 of UInt64] = [inode, next, pair(UInt32(name.count), type)]
        bytes.append(words)
        bytes += name
        while bytes.count < end { bytes.append(0) }
        return true
    }

    /// Says that nothing follows, by a name of no bytes, beyond the limit if need be. For a receiver between server and guest, who takes it away (`ListedRecord`): the guest would
    /// take it for a mistake.
    public mutating func end() { bytes += [UInt8](repeating: 0, count: (hasEntries ? Answer.entryLength : 0) + 24) }
}

/// Two fields in one word, the first of them first.
private func pair(_ low: UInt32, _ high: UInt32) -> UInt64 { UInt64(low) | UInt64(high) << 32 }

extension [UInt8] {
    mutating func appendLittleEndian<Value: FixedWidthInteger>(_ value: Value) {
        // SAFETY: the bytes are copied while the value is there.
        unsafe Swift.withUnsafeBytes(of: value.littleEndian) { unsafe append(contentsOf: $0) }
    }

    /// Words of 64 bits, little-endian. At once: a listing is made of thousands.
    fileprivate mutating func append<let count: Int>(_ words: [count of UInt64]) {
        var words = words
        for index in words.indices { words[index] = words[index].littleEndian }
        // SAFETY: the bytes are copied while the words are there.
        unsafe words.span.withUnsafeBytes { unsafe append(contentsOf: $0) }
    }

    /// `fuse_entry_out`, with its `fuse_attr`. Nodes are never used again, so there is one generation.
    fileprivate mutating func append(_ entry: Entry) {
        let (entryValidity, attributeValidity) = (entry.validity.entry, entry.validity.attributes)
        let second: UInt64 = 1_000_000_000
        let head: [5 of UInt64] = [
            entry.node, 0, entryValidity / second, attributeValidity / second,
            pair(UInt32(entryValidity % second), UInt32(attributeValidity % second)),
        ]
        append(head)
        append(entry.attributes)
    }

    /// `fuse_attr`.
    fileprivate mutating func append(_ attributes: Attributes) {
        let words: [11 of UInt64] = [
            attributes.inode, attributes.size, attributes.blocks,
            UInt64(bitPattern: attributes.accessed.seconds), UInt64(bitPattern: attributes.modified.seconds),
            UInt64(bitPattern: attributes.changed.seconds),
            pair(attributes.accessed.nanoseconds, attributes.modified.nanoseconds), pair(attributes.changed.nanoseconds, attributes.mode),
            pair(attributes.links, attributes.user), pair(attributes.group, attributes.device),
            pair(attributes.blockSize, attributes.isMountPoint ? 1 : 0),
        ]
        append(words)
    }
}
