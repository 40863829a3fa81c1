// The operations, each with what comes behind its header.

/// A moment as the file system keeps it.
public struct FileTime: Equatable, Sendable {
    /// Since 1970.
    public var seconds: Int64
    /// 0 to 999,999,999.
    public var nanoseconds: UInt32

    public init(seconds: Int64, nanoseconds: UInt32) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }
}

/// What SETATTR changes; nil stays as it is.
public struct AttributeChanges: Equatable, Sendable {
    public enum Time: Equatable, Sendable {
        case now
        case at(FileTime)
    }

    /// The permission bits, set-id and sticky ones included.
    public var mode: UInt32?
    public var user: UInt32?
    public var group: UInt32?
    /// In bytes.
    public var size: UInt64?
    public var accessed: Time?
    public var modified: Time?
    /// Set-id bits go, as after a write by somebody who may not keep them.
    public var dropsPrivileges = false

    public init() {}
}

/// What a file that is made gets.
public struct NewFile: Equatable, Sendable {
    public let name: Name
    /// Type and permissions, from which `mask` (umask(2)) is still to be taken.
    public let mode: UInt32
    public let mask: UInt32
}

public enum Operation: Equatable, Sendable {
    /// What the guest says at first.
    public struct Greeting: Equatable, Sendable {
        public let major: UInt32
        public let minor: UInt32
        /// In bytes.
        public let readAhead: UInt32
        /// `FUSE_*` of INIT, the second word in the upper half.
        public let flags: UInt64
    }

    /// One node, and how many of its answers' entries the guest has forgotten.
    public struct Forgotten: Equatable, Sendable {
        public let node: UInt64
        public let lookups: UInt64

        public init(node: UInt64, lookups: UInt64) {
            self.node = node
            self.lookups = lookups
        }
    }

    /// A place in an open file or directory.
    public struct Range: Equatable, Sendable {
        public let handle: UInt64
        public let offset: UInt64
        /// In bytes.
        public let count: UInt32
    }

    case greet(Greeting)
    case goodbye
    case lookUp(Name)
    /// Neither of both is answered.
    case forget([Forgotten])
    case interrupt(unique: UInt64)
    case getAttributes
    case setAttributes(AttributeChanges)
    case readLink
    case makeSymbolicLink(Name, target: [UInt8])
    case makeNode(NewFile, device: UInt32)
    case makeDirectory(NewFile)
    case unlink(Name)
    case removeDirectory(Name)
    /// `flags`: RENAME_*.
    case rename(Name, to: UInt64, Name, flags: UInt32)
    /// The header's node is the directory.
    case link(to: UInt64, Name)
    /// `flags`: O_*.
    case open(flags: UInt32)
    case create(NewFile, flags: UInt32)
    case createUnnamed(NewFile, flags: UInt32)
    case read(Range)
    /// The contents follow; they are none of this value.
    case write(Range, dropsPrivileges: Bool)
    case release(handle: UInt64)
    case synchronize(handle: UInt64, dataOnly: Bool)
    case flush(handle: UInt64)
    case allocate(handle: UInt64, offset: UInt64, count: UInt64, mode: UInt32)
    /// `whence`: SEEK_DATA or SEEK_HOLE.
    case seek(handle: UInt64, offset: UInt64, whence: UInt32)
    case copy(handle: UInt64, offset: UInt64, to: UInt64, targetHandle: UInt64, targetOffset: UInt64, count: UInt64, flags: UInt64)
    case openDirectory
    case readDirectory(Range, withAttributes: Bool)
    case releaseDirectory(handle: UInt64)
    case synchronizeDirectory(handle: UInt64)
    case fileSystemStatus
    case synchronizeFileSystem
    /// `flags`: XATTR_*.
    case setExtendedAttribute([UInt8], value: [UInt8], flags: UInt32)
    /// The length alone is asked for where `limit` is 0.
    case getExtendedAttribute([UInt8], limit: UInt32)
    case listExtendedAttributes(limit: UInt32)
    case removeExtendedAttribute([UInt8])
    /// `mask`: R_OK and its kin.
    case access(mask: UInt32)

    /// PATH_MAX without its NUL.
    static let targetLimit = 4095
    /// XATTR_NAME_MAX and XATTR_SIZE_MAX.
    static let attributeNameLimit = 255
    static let attributeLimit = 64 << 10
    /// In one request.
    static let forgottenLimit = 4096

    init(number: UInt32, _ reader: inout Reader) throws(RequestError) {
        switch number {
        case 1: self = .lookUp(try reader.name())
        case 2: self = .forget([Forgotten(node: 0, lookups: try reader.integer())])
        case 3:
            try reader.skip(16)
            self = .getAttributes
        case 4: self = .setAttributes(try AttributeChanges(&reader))
        case 5: self = .readLink
        case 6: self = .makeSymbolicLink(try reader.name(), target: try reader.text(atMost: Self.targetLimit))
        case 8:
            let (mode, device, mask): (UInt32, UInt32, UInt32) = (try reader.integer(), try reader.integer(), try reader.integer())
            try reader.skip(4)
            self = .makeNode(NewFile(name: try reader.name(), mode: mode, mask: mask), device: device)
        case 9:
            let (mode, mask): (UInt32, UInt32) = (try reader.integer(), try reader.integer())
            self = .makeDirectory(NewFile(name: try reader.name(), mode: mode, mask: mask))
        case 10: self = .unlink(try reader.name())
        case 11: self = .removeDirectory(try reader.name())
        case 12, 45:
            let directory: UInt64 = try reader.integer()
            var flags: UInt32 = 0
            if number == 45 {
                flags = try reader.integer()
                try reader.skip(4)
            }
            self = .rename(try reader.name(), to: directory, try reader.name(), flags: flags)
        case 13: self = .link(to: try reader.integer(), try reader.name())
        case 14:
            self = .open(flags: try reader.integer())
            try reader.skip(4)
        case 15: self = .read(try Self.range(&reader, of: 40).range)
        case 16:
            let (range, flags) = try Self.range(&reader, of: 40)
            guard reader.remaining == 0 || reader.remaining == Int(range.count) else { throw .malformed }
            try reader.skip(reader.remaining)
            // FUSE_WRITE_KILL_SUIDGID
            self = .write(range, dropsPrivileges: flags & 4 != 0)
        case 17: self = .fileSystemStatus
        case 18, 29:
            let handle: UInt64 = try reader.integer()
            try reader.skip(16)
            self = number == 18 ? .release(handle: handle) : .releaseDirectory(handle: handle)
        case 20, 30:
            let (handle, flags): (UInt64, UInt32) = (try reader.integer(), try reader.integer())
            try reader.skip(4)
            self = number == 20 ? .synchronize(handle: handle, dataOnly: flags & 1 != 0) : .synchronizeDirectory(handle: handle)
        case 21:
            let (size, flags): (UInt32, UInt32) = (try reader.integer(), try reader.integer())
            let name = try reader.text(atMost: Self.attributeNameLimit)
            guard size <= Self.attributeLimit else { throw .malformed }
            self = .setExtendedAttribute(name, value: try reader.bytes(Int(size)), flags: flags)
        case 22, 23:
            let limit: UInt32 = try reader.integer()
            try reader.skip(4)
            self =
                number == 22
                ? .getExtendedAttribute(try reader.text(atMost: Self.attributeNameLimit), limit: limit) : .listExtendedAttributes(limit: limit)
        case 24: self = .removeExtendedAttribute(try reader.text(atMost: Self.attributeNameLimit))
        case 25:
            self = .flush(handle: try reader.integer())
            try reader.skip(16)
        case 26: self = .greet(try Greeting(&reader))
        case 27:
            try reader.skip(8)
            self = .openDirectory
        case 28, 44: self = .readDirectory(try Self.range(&reader, of: 40).range, withAttributes: number == 44)
        case 34:
            self = .access(mask: try reader.integer())
            try reader.skip(4)
        case 35, 51:
            let (flags, mode, mask): (UInt32, UInt32, UInt32) = (try reader.integer(), try reader.integer(), try reader.integer())
            try reader.skip(4)
            let file = NewFile(name: try reader.name(), mode: mode, mask: mask)
            self = number == 35 ? .create(file, flags: flags) : .createUnnamed(file, flags: flags)
        case 36: self = .interrupt(unique: try reader.integer())
        case 38: self = .goodbye
        case 42:
            let count: UInt32 = try reader.integer()
            try reader.skip(4)
            guard count <= Self.forgottenLimit else { throw .malformed }
            var forgotten: [Forgotten] = []
            for _ in 0..<count { forgotten.append(Forgotten(node: try reader.integer(), lookups: try reader.integer())) }
            self = .forget(forgotten)
        case 43:
            let (handle, offset, count): (UInt64, UInt64, UInt64) = (try reader.integer(), try reader.integer(), try reader.integer())
            self = .allocate(handle: handle, offset: offset, count: count, mode: try reader.integer())
            try reader.skip(4)
        case 46:
            self = .seek(handle: try reader.integer(), offset: try reader.integer(), whence: try reader.integer())
            try reader.skip(4)
        case 47:
            self = .copy(
                handle: try reader.integer(), offset: try reader.integer(), to: try reader.integer(), targetHandle: try reader.integer(),
                targetOffset: try reader.integer(), count: try reader.integer(), flags: try reader.integer())
        case 50:
            try reader.skip(8)
            self = .synchronizeFileSystem
        default: throw .unknownOperation(number)
        }
        try reader.end()
    }

    /// `fuse_read_in` and `fuse_write_in`: alike up to the flags.
    private static func range(_ reader: inout Reader, of length: Int) throws(RequestError) -> (range: Range, flags: UInt32) {
        let range = Range(handle: try reader.integer(), offset: try reader.integer(), count: try reader.integer())
        let flags: UInt32 = try reader.integer()
        try reader.skip(length - 24)
        return (range, flags)
    }
}

extension Operation.Greeting {
    fileprivate init(_ reader: inout Reader) throws(RequestError) {
        major = try reader.integer()
        minor = try reader.integer()
        readAhead = try reader.integer()
        let flags: UInt32 = try reader.integer()
        // FUSE_INIT_EXT: there is a second word, and room for more.
        if flags & 1 << 30 != 0 {
            self.flags = UInt64(flags) | UInt64(try reader.integer(UInt32.self)) << 32
        } else {
            self.flags = UInt64(flags)
        }
        try reader.skip(reader.remaining)
    }
}

extension AttributeChanges {
    /// `fuse_setattr_in`; its bits are FATTR_*.
    fileprivate init(_ reader: inout Reader) throws(RequestError) {
        let valid: UInt32 = try reader.integer()
        // The handle adds nothing to the node, nor does the owner of a lock.
        try reader.skip(12)
        let size: UInt64 = try reader.integer()
        try reader.skip(8)
        let (accessed, modified): (UInt64, UInt64) = (try reader.integer(), try reader.integer())
        // The time of the last change is the host's.
        try reader.skip(8)
        let (accessedNanoseconds, modifiedNanoseconds): (UInt32, UInt32) = (try reader.integer(), try reader.integer())
        try reader.skip(4)
        let mode: UInt32 = try reader.integer()
        try reader.skip(4)
        let (user, group): (UInt32, UInt32) = (try reader.integer(), try reader.integer())
        try reader.skip(4)

        func has(_ bit: UInt32) -> Bool { valid & 1 << bit != 0 }
        if has(0) { self.mode = mode & 0o7777 }
        if has(1) { self.user = user }
        if has(2) { self.group = group }
        if has(3) { self.size = size }
        if has(4) { self.accessed = has(7) ? .now : try Self.time(accessed, accessedNanoseconds) }
        if has(5) { self.modified = has(8) ? .now : try Self.time(modified, modifiedNanoseconds) }
        dropsPrivileges = has(11)
    }

    private static func time(_ seconds: UInt64, _ nanoseconds: UInt32) throws(RequestError) -> Time {
        guard nanoseconds < 1_000_000_000 else { throw .malformed }
        return .at(FileTime(seconds: Int64(bitPattern: seconds), nanoseconds: nanoseconds))
    }
}
