// One member of a tar archive, after all of its extension headers have been taken into account.

/// What a member becomes in a file system.
public enum ArchiveEntryKind: Equatable, Sendable {
    case file
    case hardLink
    case symbolicLink
    case characterDevice
    case blockDevice
    case directory
    case fifo
}

/// A point in time as archives give it.
public struct ArchiveTime: Equatable, Sendable {
    /// Since 1970-01-01 00:00 UTC; may be negative.
    public var seconds: Int64
    /// 0 to 999,999,999, added to `seconds`.
    public var nanoseconds: UInt32

    public init(seconds: Int64, nanoseconds: UInt32) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }
}

/// A run of bytes that a sparse file really has; the rest of it reads as zeros.
public struct ArchiveSegment: Equatable, Sendable {
    /// In bytes from the start of the unpacked file.
    public var offset: UInt64
    /// In bytes.
    public var length: UInt64

    public init(offset: UInt64, length: UInt64) {
        self.offset = offset
        self.length = length
    }
}

/// A name and a value for setxattr(2).
public struct ArchiveAttribute: Equatable, Sendable {
    public var name: [UInt8]
    public var value: [UInt8]

    public init(name: [UInt8], value: [UInt8]) {
        self.name = name
        self.value = value
    }
}

/// A member's header. Names are bytes without NUL, exactly as the archive spells them: nothing is normalised or checked against escapes here.
public struct ArchiveEntry: Equatable, Sendable {
    public var kind: ArchiveEntryKind
    public var path: [UInt8]
    /// Target of a hard or symbolic link; empty otherwise.
    public var linkTarget: [UInt8]
    /// Permission bits, set-id bits and sticky bit: at most 0o7777.
    public var mode: UInt32
    public var userID: UInt32
    public var groupID: UInt32
    public var modified: ArchiveTime
    /// Of a device node.
    public var deviceMajor: UInt32
    public var deviceMinor: UInt32
    /// The unpacked file's length in bytes.
    public var size: UInt64
    /// Bytes that the archive holds for this member, from `dataOffset` on, without padding.
    public var storedSize: UInt64
    /// In bytes from the start of the tar stream.
    public var dataOffset: UInt64
    /// Of a sparse file: where the stored bytes go, one segment after another; ascending, disjoint, within `size`, together `storedSize` long.
    public var segments: [ArchiveSegment]?
    public var attributes: [ArchiveAttribute]
}
