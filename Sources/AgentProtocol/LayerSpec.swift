// What the agent must do with a layer: unpack it onto a disk.
public import Wire

/// How a layer's tar stream is compressed.
public enum LayerCompression: UInt8, Sendable, CaseIterable {
    case none = 0
    case gzip = 1
    case zstd = 2
}

/// A layer of an image, on one block device, and the disk that it is to be unpacked onto.
public struct LayerSpec: WireCodable, Equatable, Sendable {
    /// For messages: "layer 2 of 5".
    public var name: Text
    /// The block device with the compressed tar stream (0 is vda).
    public var device: UInt8
    /// In bytes from the start of the device; a multiple of 4096.
    public var offset: UInt64
    /// Compressed length in bytes.
    public var length: UInt64
    public var compression: LayerCompression
    /// SHA-256 of the uncompressed tar stream (`rootfs.diff_ids`); empty: not verified.
    public var diffID: [UInt8]
    /// The block device with the ext4 file system that holds the layers below.
    public var disk: UInt8
    /// Nothing was unpacked onto the disk yet.
    public var isLowest: Bool
    /// The disk is unmounted once the layer is on it: the host keeps what it holds then. Otherwise the next layer follows on the same disk.
    public var completesDisk: Bool

    public init(
        name: Text, device: UInt8, range: (offset: UInt64, length: UInt64), compression: LayerCompression, diffID: [UInt8],
        disk: (device: UInt8, isEmpty: Bool, isComplete: Bool)
    ) {
        self.name = name
        self.device = device
        offset = range.offset
        length = range.length
        self.compression = compression
        self.diffID = diffID
        self.disk = disk.device
        isLowest = disk.isEmpty
        completesDisk = disk.isComplete
    }

    public func encode(into encoder: inout WireEncoder) {
        name.encode(into: &encoder)
        encoder.integer(device)
        encoder.integer(offset)
        encoder.integer(length)
        encoder.integer(compression.rawValue)
        encoder.byteString(diffID)
        encoder.integer(disk)
        encoder.boolean(isLowest)
        encoder.boolean(completesDisk)
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        name = try Text(from: &decoder)
        device = try decoder.integer()
        offset = try decoder.integer()
        length = try decoder.integer()
        guard let compression = LayerCompression(rawValue: try decoder.integer()) else { throw .unknownValue }
        self.compression = compression
        diffID = try decoder.byteString(atMost: 32)
        guard diffID.isEmpty || diffID.count == 32 else { throw .unknownValue }
        disk = try decoder.integer()
        isLowest = try decoder.boolean()
        completesDisk = try decoder.boolean()
    }
}
