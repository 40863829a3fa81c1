// What the guest's kernel asks for (Linux, include/uapi/linux/fuse.h, protocol 7.41), checked as far as it can be without knowing the files.
//
//   fuse_in_header │ what the operation has │ names and values
//   40 bytes       │ fixed                  │ up to the length that the header gives

/// Why a request can't be served as it is; `errno` is what its sender is told.
public enum RequestError: Error, Equatable {
    /// No complete header, or one whose length is not that of the bytes: there is nothing to answer to.
    case noHeader
    /// An operation that this protocol doesn't have, or that we don't serve.
    case unknownOperation(UInt32)
    /// Shorter or longer than its operation is, or fields that mean nothing.
    case malformed
    case nameTooLong
}

/// `fuse_in_header`.
public struct RequestHeader: Equatable, Sendable {
    /// In bytes.
    public static let length = 40

    /// `FUSE_*`.
    public let operation: UInt32
    /// The sender's own number for it, which the answer repeats.
    public let unique: UInt64
    /// What it is about; 0 for what is about nothing.
    public let node: UInt64
    /// Whoever asks, in the guest.
    public let user: UInt32
    public let group: UInt32

    /// `bytes`: the beginning of a request of `total` bytes.
    public init(_ bytes: [UInt8], of total: Int) throws(RequestError) {
        guard bytes.count >= Self.length else { throw .noHeader }
        var reader = Reader(bytes, from: 0)
        do throws(RequestError) {
            guard try reader.integer(UInt32.self) == total else { throw .noHeader }
            operation = try reader.integer()
            unique = try reader.integer()
            node = try reader.integer()
            user = try reader.integer()
            group = try reader.integer()
        } catch { throw .noHeader }
    }
}

extension RequestHeader {
    /// Where a server that has names and bytes apart takes a request.
    public enum Part: Equatable, Sendable {
        /// Names and attributes.
        case names
        /// The same, but there is no answer.
        case unanswered
        /// Names, and the answer comes with an open file, for whose handle it has room at `handle`, in bytes from the answer's start.
        case opening(handle: Int)
        /// What is in open files.
        case bytes
        /// Names, and the answer brings the beginning of the listing with it (`Answer.takeListing`).
        case openingDirectory
        /// What a directory holds; the answer may be asked for more than there is room for (`enlarge`).
        case listing
        /// Names, and nobody waits for the answer.
        case closingDirectory
        /// Nobody: requests are served in the order in which they come, so that there is nothing to interrupt.
        case nothing
    }

    public var part: Part {
        switch operation {
        case 2, 42: .unanswered
        case 14: .opening(handle: Answer.headerLength)
        case 35, 51: .opening(handle: Answer.headerLength + Answer.entryLength)
        case 15, 16, 18, 20, 25, 43, 46, 47: .bytes
        case 27: .openingDirectory
        case 28, 44: .listing
        case 29: .closingDirectory
        case 36: .nothing
        default: .names
        }
    }

    /// The length of a WRITE without the contents, in bytes.
    public static let writeLength = length + 40
    public var isWrite: Bool { operation == 16 }
    /// Whether names or attributes may be others afterwards than they were before. `bytes`: the beginning of the request.
    public func changesFiles(_ bytes: [UInt8]) -> Bool {
        switch operation {
        // LOOKUP, FORGET, GETATTR, READLINK, READ, STATFS, RELEASE, FSYNC, GETXATTR, LISTXATTR, FLUSH, OPENDIR, READDIR, RELEASEDIR, FSYNCDIR, ACCESS, INTERRUPT, BATCH_FORGET, READDIRPLUS, LSEEK, SYNCFS
        case 1, 2, 3, 5, 15, 17, 18, 20, 22, 23, 25, 27...30, 34, 36, 42, 44, 46, 50: return false
        // OPEN, without O_TRUNC.
        case 14:
            var reader = Reader(bytes, from: Self.length)
            let flags: UInt32 = (try? reader.integer()) ?? .max
            return flags & 0o1000 != 0
        default: return true
        }
    }

    /// Asks for `count` bytes of a listing, in a whole READDIR or READDIRPLUS.
    public static func enlarge(_ request: inout [UInt8], to count: UInt32) {
        let place = length + 16
        guard request.count >= place + 4 else { return }
        for index in 0..<4 { request[place + index] = UInt8(truncatingIfNeeded: count >> UInt32(8 * index)) }
    }

    /// The guest begins, or ends: no handle that it had before means anything afterwards.
    public var startsOver: Bool { operation == 26 || operation == 38 }

    /// A whole request by which a guest says goodbye.
    public static let goodbye = request(38, node: 0, [])

    /// One by which it forgets all of `nodes`, at most `forgottenLimit`.
    public static func forget(_ nodes: ArraySlice<Operation.Forgotten>) -> [UInt8] {
        var body: [UInt8] = []
        body.reserveCapacity(8 + 16 * nodes.count)
        body.appendLittleEndian(UInt32(nodes.count))
        body.appendLittleEndian(UInt32(0))
        for one in nodes {
            body.appendLittleEndian(one.node)
            body.appendLittleEndian(one.lookups)
        }
        return request(42, node: 0, body)
    }

    /// In one request.
    public static let forgottenLimit = 256

    private static func request(_ operation: UInt32, node: UInt64, _ body: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.appendLittleEndian(UInt32(length + body.count))
        bytes.appendLittleEndian(operation)
        bytes.appendLittleEndian(UInt64(0))
        bytes.appendLittleEndian(node)
        for _ in 0..<4 { bytes.appendLittleEndian(UInt32(0)) }
        return bytes + body
    }
}

/// A whole request.
public struct Request: Equatable, Sendable {
    /// The longest one whose bytes are not a file's contents: a name, an attribute's name and a value of 64 KiB (xattr(7)), and some.
    public static let lengthLimit = 72 << 10

    public let header: RequestHeader
    public let operation: Operation

    /// `header` as it was read from `bytes`: what is wrong behind it can be answered. `bytes` is the whole request, but that a file's contents may be missing.
    public init(_ header: RequestHeader, _ bytes: [UInt8]) throws(RequestError) {
        self.header = header
        var reader = Reader(bytes, from: RequestHeader.length)
        operation = try Operation(number: header.operation, &reader)
    }
}

/// Reads little-endian fields; never beyond the end.
struct Reader {
    private let bytes: [UInt8]
    private var index: Int

    init(_ bytes: [UInt8], from index: Int) {
        self.bytes = bytes
        self.index = index
    }

    var remaining: Int { bytes.count - index }

    mutating func integer<Value: FixedWidthInteger>(_ type: Value.Type = Value.self) throws(RequestError) -> Value {
        let size = Value.bitWidth / 8
        guard remaining >= size else { throw .malformed }
        defer { index += size }
        // SAFETY: so many bytes are there; any are an integer.
        return Value(littleEndian: unsafe bytes.withUnsafeBytes { unsafe $0.loadUnaligned(fromByteOffset: index, as: Value.self) })
    }

    mutating func skip(_ count: Int) throws(RequestError) {
        guard remaining >= count else { throw .malformed }
        index += count
    }

    /// Up to the NUL, which is skipped.
    mutating func text(atMost limit: Int) throws(RequestError) -> [UInt8] {
        guard let end = bytes[index...].firstIndex(of: 0) else { throw .malformed }
        let text = Array(bytes[index..<end])
        guard !text.isEmpty else { throw .malformed }
        guard text.count <= limit else { throw .nameTooLong }
        index = end + 1
        return text
    }

    /// One component of a path, and neither of the two that lead elsewhere.
    mutating func name() throws(RequestError) -> Name {
        guard let name = Name(try text(atMost: Name.lengthLimit)) else { throw .malformed }
        return name
    }

    mutating func bytes(_ count: Int) throws(RequestError) -> [UInt8] {
        guard remaining >= count else { throw .malformed }
        defer { index += count }
        return Array(bytes[index..<index + count])
    }

    /// Whatever is left belongs to nothing.
    func end() throws(RequestError) { if remaining != 0 { throw .malformed } }
}

/// A file's name in its directory: 1 to 255 bytes without "/" and NUL, and neither "." nor "..".
public struct Name: Hashable, Sendable {
    /// NAME_MAX.
    public static let lengthLimit = 255

    public let bytes: [UInt8]

    public init?(_ bytes: [UInt8]) {
        guard (1...Self.lengthLimit).contains(bytes.count), !bytes.contains(0), !bytes.contains(0x2F), bytes != [0x2E], bytes != [0x2E, 0x2E]
        else { return nil }
        self.bytes = bytes
    }
}
