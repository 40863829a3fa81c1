// What a block device is made of: ranges of open files at places on the device, and what becomes of writes.

/// A range of an open file at a place on the device. The descriptor is the VMM's, which keeps it open for as long as the device lives.
public struct BlockExtent: Equatable, Sendable {
    /// On the device, in bytes; a multiple of 4096.
    public let position: UInt64
    public let descriptor: Int32
    /// In the file, in bytes.
    public let offset: UInt64
    /// In bytes.
    public let length: UInt64

    public init(position: UInt64, descriptor: Int32, offset: UInt64, length: UInt64) {
        self.position = position
        self.descriptor = descriptor
        self.offset = offset
        self.length = length
    }

    var end: UInt64 { position + length }
}

/// What becomes of what the driver writes.
public enum BlockAccess: Equatable, Sendable {
    case readOnly
    /// It replaces what is there, and reaches the disk by a flush.
    case inPlace
    /// It replaces what is there, and dies with the VM: flushes do nothing.
    case ephemeral
}

/// Extents on a device. Between them it is zeros.
public struct BlockBackend: Sendable {
    /// What the host's system call is to be made with.
    enum Piece: Equatable {
        case file(descriptor: Int32, offset: UInt64, count: UInt64)
        case zeros(count: UInt64)
    }

    /// Each extent begins at a multiple of this.
    public static let alignment: UInt64 = 4096

    /// For error texts.
    public let name: String
    public let access: BlockAccess
    /// In bytes.
    public let size: UInt64
    /// Ascending, and apart from each other.
    let extents: [BlockExtent]

    /// `size` in bytes. Throws for extents that are no disk; see `VirtioDevicesError`.
    public init(extents: [BlockExtent], size: UInt64, name: String, access: BlockAccess) throws(VirtioDevicesError) {
        guard size > 0 else { throw .emptyDisk(name: name) }
        guard size <= UInt64(Int64.max) - BlockBackend.alignment else { throw .diskTooLarge(name: name) }
        self.extents = extents.filter { $0.length > 0 }
        var end: UInt64 = 0
        for extent in self.extents {
            guard extent.position.isMultiple(of: BlockBackend.alignment), extent.position >= end, extent.position < size,
                extent.length <= size - extent.position
            else { throw .overlappingExtents(name: name) }
            let (last, wraps) = extent.offset.addingReportingOverflow(extent.length)
            guard !wraps, last <= UInt64(Int64.max) else { throw .diskTooLarge(name: name) }
            end = extent.end
        }
        if access != .readOnly {
            guard self.extents.count == 1, self.extents[0].length == size, size.isMultiple(of: 512) else { throw .writableDisk(name: name) }
        }
        self.name = name
        self.access = access
        self.size = size
    }

    /// One extent after another, each padded with zeros to the alignment.
    public static func concatenation(
        of files: [(descriptor: Int32, offset: UInt64, length: UInt64)], name: String, access: BlockAccess
    ) throws(VirtioDevicesError) -> BlockBackend {
        var extents: [BlockExtent] = []
        var end: UInt64 = 0
        for file in files {
            guard file.length <= UInt64(Int64.max) - alignment - end else { throw .diskTooLarge(name: name) }
            extents.append(BlockExtent(position: end, descriptor: file.descriptor, offset: file.offset, length: file.length))
            end += (file.length + alignment - 1) / alignment * alignment
        }
        // No padding where the driver writes: the file would grow.
        if access != .readOnly, extents.count == 1 { end = extents[0].length }
        return try BlockBackend(extents: extents, size: end, name: name, access: access)
    }

    /// The piece that begins at `position`, at most `count` bytes. `position` is below `size`.
    func piece(at position: UInt64, atMost count: UInt64) -> Piece {
        var low = 0
        var high = extents.count
        while low < high {
            let middle = (low + high) / 2
            if extents[middle].position <= position { low = middle + 1 } else { high = middle }
        }
        if low > 0, position < extents[low - 1].end {
            let extent = extents[low - 1]
            let inside = position - extent.position
            return .file(descriptor: extent.descriptor, offset: extent.offset + inside, count: min(count, extent.length - inside))
        }
        let end = low < extents.count ? extents[low].position : size
        return .zeros(count: min(count, end - position))
    }
}

/// What a disk's bytes are read from and written to.
enum BlockStorage {
    case fixed(BlockBackend)
    case copying(CopyOnWrite)

    var name: String {
        switch self {
        case .fixed(let backend): backend.name
        case .copying(let disk): disk.name
        }
    }

    /// In bytes.
    var size: UInt64 {
        switch self {
        case .fixed(let backend): backend.size
        case .copying(let disk): disk.size
        }
    }

    /// The unit of transfers, in bytes.
    var blockSize: UInt64 {
        switch self {
        case .fixed: Block.sectorSize
        case .copying: CopyOnWrite.blockSize
        }
    }

    var readOnly: Bool {
        switch self {
        case .fixed(let backend): backend.access == .readOnly
        case .copying: false
        }
    }

    func piece(at position: UInt64, atMost count: UInt64) -> BlockBackend.Piece {
        switch self {
        case .fixed(let backend): backend.piece(at: position, atMost: count)
        case .copying(let disk): disk.piece(at: position, atMost: count)
        }
    }

    /// Nil where nothing can be written.
    func place(forWriting position: UInt64, atMost count: UInt64) -> BlockBackend.Piece? {
        switch self {
        case .fixed(let backend): backend.access == .readOnly ? nil : backend.piece(at: position, atMost: count)
        case .copying(let disk): disk.place(forWriting: position, atMost: count)
        }
    }
}
