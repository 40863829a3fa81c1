// What the agent must set up: a container's root file system and surroundings, and processes in it.
public import Wire

/// How a layer's tar stream is compressed.
public enum LayerCompression: UInt8, Sendable, CaseIterable {
    case none = 0
    case gzip = 1
    case zstd = 2
}

/// One layer, in the block device that holds all of the image's layers one after another.
public struct LayerSource: WireCodable, Equatable, Sendable {
    /// In bytes from the start of the device; a multiple of 4096.
    public var offset: UInt64
    /// Compressed length in bytes.
    public var length: UInt64
    public var compression: LayerCompression
    /// SHA-256 of the compressed bytes (OCI layouts name blobs by it); empty where the archive has none.
    public var digest: [UInt8]
    /// SHA-256 of the uncompressed tar stream (`rootfs.diff_ids`); empty where unknown.
    public var diffID: [UInt8]

    public init(offset: UInt64, length: UInt64, compression: LayerCompression, digest: [UInt8], diffID: [UInt8]) {
        self.offset = offset
        self.length = length
        self.compression = compression
        self.digest = digest
        self.diffID = diffID
    }

    public func encode(into encoder: inout WireEncoder) {
        encoder.integer(offset)
        encoder.integer(length)
        encoder.integer(compression.rawValue)
        encoder.byteString(digest)
        encoder.byteString(diffID)
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        offset = try decoder.integer()
        length = try decoder.integer()
        guard let compression = LayerCompression(rawValue: try decoder.integer()) else { throw .unknownValue }
        self.compression = compression
        digest = try decoder.byteString(atMost: 32)
        diffID = try decoder.byteString(atMost: 32)
        guard digest.isEmpty || digest.count == 32, diffID.isEmpty || diffID.count == 32 else { throw .unknownValue }
    }
}

/// Where the root file system's files are kept while the container lives.
public enum RootStorage: WireCodable, Equatable, Sendable {
    /// In the guest's memory, at most `bytes`.
    case memory(bytes: UInt64)
    /// On an ext4 file system on block device number `index` (0 is vda).
    case disk(index: UInt8)

    public func encode(into encoder: inout WireEncoder) {
        switch self {
        case .memory(let bytes):
            encoder.integer(UInt8(0))
            encoder.integer(bytes)
        case .disk(let index):
            encoder.integer(UInt8(1))
            encoder.integer(index)
        }
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        switch try decoder.integer(UInt8.self) {
        case 0: self = .memory(bytes: try decoder.integer())
        case 1: self = .disk(index: try decoder.integer())
        default: throw .unknownValue
        }
    }
}

/// A mount inside the container, as in the OCI runtime specification's `mounts`; options as for mount(8).
public struct MountSpec: WireCodable, Equatable, Sendable {
    public var destination: Text
    public var type: Text
    public var source: Text
    public var options: [Text]

    public init(destination: Text, type: Text, source: Text, options: [Text]) {
        self.destination = destination
        self.type = type
        self.source = source
        self.options = options
    }

    public func encode(into encoder: inout WireEncoder) {
        destination.encode(into: &encoder)
        type.encode(into: &encoder)
        source.encode(into: &encoder)
        encoder.list(options)
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        destination = try Text(from: &decoder)
        type = try Text(from: &decoder)
        source = try Text(from: &decoder)
        options = try decoder.list(atMost: 64)
    }
}

/// A file that the agent writes into the root file system before the first process starts (/etc/hosts and its like).
public struct InjectedFile: WireCodable, Equatable, Sendable {
    public var path: Text
    public var mode: UInt32
    public var contents: [UInt8]

    public init(path: Text, mode: UInt32, contents: [UInt8]) {
        self.path = path
        self.mode = mode
        self.contents = contents
    }

    public func encode(into encoder: inout WireEncoder) {
        path.encode(into: &encoder)
        encoder.integer(mode)
        encoder.byteString(contents)
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        path = try Text(from: &decoder)
        mode = try decoder.integer()
        contents = try decoder.byteString(atMost: 1 << 20)
    }
}

/// A container: its identity, root file system and mounts. Processes come separately.
public struct ContainerSpec: WireCodable, Equatable, Sendable {
    /// Chosen by the host; names the container in later messages.
    public var container: UInt32
    public var hostname: Text
    public var layers: [LayerSource]
    /// Block device that holds the layers (0 is vda).
    public var layerDevice: UInt8
    public var storage: RootStorage
    public var readOnlyRoot: Bool
    /// In order, after the agent's own defaults (/proc, /dev, /dev/pts, /dev/shm, /dev/mqueue, /sys, /sys/fs/cgroup).
    public var mounts: [MountSpec]
    public var files: [InjectedFile]
    public var maskedPaths: [Text]
    public var readOnlyPaths: [Text]

    public init(
        container: UInt32, hostname: Text, layers: [LayerSource], layerDevice: UInt8, storage: RootStorage, readOnlyRoot: Bool = false
    ) {
        self.container = container
        self.hostname = hostname
        self.layers = layers
        self.layerDevice = layerDevice
        self.storage = storage
        self.readOnlyRoot = readOnlyRoot
        mounts = []
        files = []
        maskedPaths = []
        readOnlyPaths = []
    }

    public func encode(into encoder: inout WireEncoder) {
        encoder.integer(container)
        hostname.encode(into: &encoder)
        encoder.list(layers)
        encoder.integer(layerDevice)
        storage.encode(into: &encoder)
        encoder.boolean(readOnlyRoot)
        encoder.list(mounts)
        encoder.list(files)
        encoder.list(maskedPaths)
        encoder.list(readOnlyPaths)
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        container = try decoder.integer()
        hostname = try Text(from: &decoder)
        layers = try decoder.list(atMost: 4096)
        layerDevice = try decoder.integer()
        storage = try RootStorage(from: &decoder)
        readOnlyRoot = try decoder.boolean()
        mounts = try decoder.list(atMost: 1024)
        files = try decoder.list(atMost: 64)
        maskedPaths = try decoder.list(atMost: 256)
        readOnlyPaths = try decoder.list(atMost: 256)
    }
}
