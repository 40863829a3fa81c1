// What the agent must set up: a container's root file system and surroundings, and processes in it.
public import Wire

/// Where what the container writes into its root file system is kept while it lives.
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
    /// The image: an ext4 file system on this block device (0 is vda), mounted read-only below what the container writes. Nil: an empty root.
    public var image: UInt8?
    public var storage: RootStorage
    public var readOnlyRoot: Bool
    /// In order, after the agent's own defaults (/proc, /dev, /dev/pts, /dev/shm, /dev/mqueue, /sys, /sys/fs/cgroup).
    public var mounts: [MountSpec]
    public var files: [InjectedFile]
    public var maskedPaths: [Text]
    public var readOnlyPaths: [Text]
    /// What the container's processes may make and open: an eBPF program of the type BPF_PROG_TYPE_CGROUP_DEVICE, at most `deviceProgramLimit` bytes; empty: anything.
    public var deviceProgram: [UInt8]
    /// All processes and threads of the container (pids.max); 0: no limit.
    public var processLimit: UInt32
    /// All of the machine's devices, and /sys and /sys/fs/cgroup for writing.
    public var isPrivileged: Bool

    /// Where one of the mounts is taken away when all have been made, since it was only the others' source; empty: none is.
    public var scaffold: Text

    /// 4096 instructions.
    public static let deviceProgramLimit = 32768

    public init(
        container: UInt32, hostname: Text, image: UInt8?, storage: RootStorage, readOnlyRoot: Bool = false
    ) {
        self.container = container
        self.hostname = hostname
        self.image = image
        self.storage = storage
        self.readOnlyRoot = readOnlyRoot
        mounts = []
        files = []
        maskedPaths = []
        readOnlyPaths = []
        deviceProgram = []
        processLimit = 0
        isPrivileged = false
        scaffold = ""
    }

    public func encode(into encoder: inout WireEncoder) {
        encoder.integer(container)
        hostname.encode(into: &encoder)
        encoder.boolean(image != nil)
        encoder.integer(image ?? 0)
        storage.encode(into: &encoder)
        encoder.boolean(readOnlyRoot)
        encoder.list(mounts)
        encoder.list(files)
        encoder.list(maskedPaths)
        encoder.list(readOnlyPaths)
        encoder.byteString(deviceProgram)
        encoder.integer(processLimit)
        encoder.boolean(isPrivileged)
        scaffold.encode(into: &encoder)
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        container = try decoder.integer()
        hostname = try Text(from: &decoder)
        let hasImage = try decoder.boolean()
        let device = try decoder.integer(UInt8.self)
        image = hasImage ? device : nil
        storage = try RootStorage(from: &decoder)
        readOnlyRoot = try decoder.boolean()
        mounts = try decoder.list(atMost: 1024)
        files = try decoder.list(atMost: 1024)
        maskedPaths = try decoder.list(atMost: 256)
        readOnlyPaths = try decoder.list(atMost: 256)
        deviceProgram = try decoder.byteString(atMost: ContainerSpec.deviceProgramLimit)
        processLimit = try decoder.integer()
        isPrivileged = try decoder.boolean()
        scaffold = try Text(from: &decoder)
    }
}
