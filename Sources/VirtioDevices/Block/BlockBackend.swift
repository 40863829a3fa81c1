// What a block device is made of: ranges of open files, one after another.

/// A range of an open file. The descriptor is the VMM's, which keeps it open for as long as the device lives.
public struct BlockExtent: Equatable, Sendable {
    public let descriptor: Int32
    /// In bytes.
    public let offset: UInt64
    /// In bytes.
    public let length: UInt64

    public init(descriptor: Int32, offset: UInt64, length: UInt64) {
        self.descriptor = descriptor
        self.offset = offset
        self.length = length
    }
}

/// Extents on a device, each padded with zeros to a multiple of 4096 bytes.
public struct BlockBackend: Sendable {
    /// What the host's system call is to be made with.
    enum Piece: Equatable {
        case file(descriptor: Int32, offset: UInt64, count: UInt64)
        /// Padding.
        case zeros(count: UInt64)
    }

    /// Each extent begins at a multiple of this.
    public static let alignment: UInt64 = 4096

    /// For error texts.
    public let name: String
    public let readOnly: Bool
    /// The contents die with the VM.
    public let ephemeral: Bool
    /// In bytes.
    public let size: UInt64
    private let extents: [BlockExtent]
    /// Where each extent begins on the device; ascending.
    private let starts: [UInt64]

    /// Throws for extents that are no disk; see `VirtioDevicesError`.
    public init(extents: [BlockExtent], name: String, readOnly: Bool, ephemeral: Bool = false) throws(VirtioDevicesError) {
        var starts: [UInt64] = []
        var end: UInt64 = 0
        let limit = UInt64(Int64.max) - BlockBackend.alignment
        for extent in extents where extent.length > 0 {
            let (last, wraps) = extent.offset.addingReportingOverflow(extent.length)
            guard !wraps, last <= limit, extent.length <= limit - end else { throw .diskTooLarge(name: name) }
            starts.append(end)
            end += (extent.length + BlockBackend.alignment - 1) / BlockBackend.alignment * BlockBackend.alignment
        }
        guard end > 0 else { throw .emptyDisk(name: name) }
        self.extents = extents.filter { $0.length > 0 }
        if !readOnly {
            guard self.extents.count == 1, self.extents[0].length.isMultiple(of: 512) else { throw .writableDisk(name: name) }
            // No padding: a write there would make the file grow.
            end = self.extents[0].length
        }
        self.starts = starts
        self.name = name
        self.readOnly = readOnly
        self.ephemeral = ephemeral
        size = end
    }

    /// The piece that begins at `position`, at most `count` bytes. `position` is below `size`.
    func piece(at position: UInt64, atMost count: UInt64) -> Piece {
        var low = 0
        var high = starts.count
        while low < high {
            let middle = (low + high) / 2
            if starts[middle] <= position { low = middle + 1 } else { high = middle }
        }
        let index = low - 1
        let extent = extents[index]
        let inside = position - starts[index]
        if inside < extent.length {
            return .file(descriptor: extent.descriptor, offset: extent.offset + inside, count: min(count, extent.length - inside))
        }
        let end = index + 1 < starts.count ? starts[index + 1] : size
        return .zeros(count: min(count, end - position))
    }
}
