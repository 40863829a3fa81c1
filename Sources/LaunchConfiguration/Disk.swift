// The machine's disks: what they hold, and what becomes of what the guest writes.
public import Wire

/// What a disk shows before anything was written to it.
public enum DiskContent: WireCodable, Equatable, Sendable {
    /// One after another, each padded with zeros to a multiple of 4096 bytes.
    case extents([Extent])
    /// `blocks` blocks of 4096 bytes, made of runs in `files`; a run's `file` counts from 0. `runs` is the range of a file that holds them (`DiskMap`).
    case mapped(blocks: UInt32, runs: Extent, files: [Int32])

    public func encode(into encoder: inout WireEncoder) {
        switch self {
        case .extents(let extents):
            encoder.integer(UInt8(0))
            encoder.list(extents)
        case .mapped(let blocks, let runs, let files):
            encoder.integer(UInt8(1))
            encoder.integer(blocks)
            runs.encode(into: &encoder)
            encoder.descriptors(files)
        }
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        switch try decoder.integer(UInt8.self) {
        case 0: self = .extents(try decoder.list(atMost: 4096))
        case 1: self = .mapped(blocks: try decoder.integer(), runs: try Extent(from: &decoder), files: try decoder.descriptors())
        default: throw .unknownValue
        }
    }
}

/// What becomes of what the guest writes.
public enum DiskAccess: WireCodable, Equatable, Sendable {
    case readOnly
    /// Written where it is; the disk is one extent. The contents die with the VM: flushes need not reach the disk.
    case ephemeral
    /// Changed blocks are appended to these files, and the content's files stay as they are: to the first until it is sealed, then to the next, then nowhere.
    /// In the disk's map they follow the content's files. What the first one holds at the beginning is the disk's too, where the content's runs say so.
    /// Together they get at most `limit` bytes more.
    case copyOnWrite([Int32], limit: UInt64)

    public func encode(into encoder: inout WireEncoder) {
        switch self {
        case .readOnly: encoder.integer(UInt8(0))
        case .ephemeral: encoder.integer(UInt8(1))
        case .copyOnWrite(let files, let limit):
            encoder.integer(UInt8(2))
            encoder.descriptors(files)
            encoder.integer(limit)
        }
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        switch try decoder.integer(UInt8.self) {
        case 0: self = .readOnly
        case 1: self = .ephemeral
        case 2: self = .copyOnWrite(try decoder.descriptors(), limit: try decoder.integer())
        default: throw .unknownValue
        }
    }
}

extension WireEncoder {
    fileprivate mutating func descriptors(_ descriptors: [Int32]) {
        integer(UInt32(descriptors.count))
        for descriptor in descriptors { signed(descriptor) }
    }
}

extension WireDecoder {
    /// At most 4096.
    fileprivate mutating func descriptors() throws(WireError) -> [Int32] {
        let count = Int(try integer(UInt32.self))
        guard count <= 4096 else { throw .tooLong }
        var descriptors: [Int32] = []
        for _ in 0..<count { descriptors.append(try signed()) }
        return descriptors
    }
}

/// A virtio block device.
public struct Disk: WireCodable, Equatable, Sendable {
    public var content: DiskContent
    public var access: DiskAccess
    /// At most 20 bytes (VIRTIO_BLK_T_GET_ID).
    public var serial: Text
    /// For error texts.
    public var name: Text
    public var limits: DiskLimits?

    public init(_ content: DiskContent, access: DiskAccess, serial: Text, name: Text) {
        self.content = content
        self.access = access
        self.serial = serial
        self.name = name
    }

    /// Every descriptor that it names.
    public var descriptors: [Int32] {
        var descriptors: [Int32]
        switch content {
        case .extents(let extents): descriptors = extents.map(\.descriptor)
        case .mapped(_, let runs, let files): descriptors = [runs.descriptor] + files
        }
        if case .copyOnWrite(let changes, _) = access { descriptors += changes }
        return descriptors
    }

    public func encode(into encoder: inout WireEncoder) {
        content.encode(into: &encoder)
        access.encode(into: &encoder)
        serial.encode(into: &encoder)
        name.encode(into: &encoder)
        encoder.optional(limits)
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        content = try DiskContent(from: &decoder)
        access = try DiskAccess(from: &decoder)
        serial = try Text(from: &decoder)
        name = try Text(from: &decoder)
        limits = try decoder.optional()
    }
}
