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

/// What a container's root file system is.
public enum RootSource: WireCodable, Equatable, Sendable {
    /// Nothing but what the container writes.
    case empty
    /// The ext4 file system on this block device (0 is vda), mounted read-only below what the container writes.
    case image(disk: UInt8)
    /// A directory of the host, by its number (`MountSource`). What the container writes goes there.
    case tree(UInt32)

    public func encode(into encoder: inout WireEncoder) {
        switch self {
        case .empty: encoder.integer(UInt8(0))
        case .image(let disk):
            encoder.integer(UInt8(1))
            encoder.integer(disk)
        case .tree(let number):
            encoder.integer(UInt8(2))
            encoder.integer(number)
        }
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        switch try decoder.integer(UInt8.self) {
        case 0: self = .empty
        case 1: self = .image(disk: try decoder.integer())
        case 2: self = .tree(try decoder.integer())
        default: throw .unknownValue
        }
    }
}

/// What is mounted.
public enum MountSource: WireCodable, Equatable, Sendable {
    /// As for mount(2).
    case name(Text)
    /// A directory of the host: one of the trees of the machine's file system device, by its number.
    case directory(UInt32)
    /// A file of the host, in the same way.
    case file(UInt32)

    public func encode(into encoder: inout WireEncoder) {
        switch self {
        case .name(let name):
            encoder.integer(UInt8(0))
            name.encode(into: &encoder)
        case .directory(let number):
            encoder.integer(UInt8(1))
            encoder.integer(number)
        case .file(let number):
            encoder.integer(UInt8(2))
            encoder.integer(number)
        }
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        switch try decoder.integer(UInt8.self) {
        case 0: self = .name(try Text(from: &decoder))
        case 1: self = .directory(try decoder.integer())
        case 2: self = .file(try decoder.integer())
        default: throw .unknownValue
        }
    }
}

/// MS_ constants of mount(2).
public struct MountFlags: OptionSet, Hashable, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    public static let readOnly = MountFlags(rawValue: 1)
    public static let noSetID = MountFlags(rawValue: 2)
    public static let noDevices = MountFlags(rawValue: 4)
    public static let noExecution = MountFlags(rawValue: 8)
    public static let synchronous = MountFlags(rawValue: 16)
    public static let synchronousDirectories = MountFlags(rawValue: 128)
    public static let noAccessTime = MountFlags(rawValue: 1 << 10)
    public static let noDirectoryAccessTime = MountFlags(rawValue: 1 << 11)
    public static let bind = MountFlags(rawValue: 1 << 12)
    public static let recursive = MountFlags(rawValue: 1 << 14)
    public static let unbindable = MountFlags(rawValue: 1 << 17)
    public static let `private` = MountFlags(rawValue: 1 << 18)
    public static let slave = MountFlags(rawValue: 1 << 19)
    public static let shared = MountFlags(rawValue: 1 << 20)
    public static let relativeAccessTime = MountFlags(rawValue: 1 << 21)
    public static let strictAccessTime = MountFlags(rawValue: 1 << 24)
}

/// A mount inside the container, as in the OCI runtime specification's `mounts`, its options as mount(2) has them. What is missing at the destination is made.
public struct MountSpec: WireCodable, Equatable, Sendable {
    public var destination: Text
    public var type: Text
    public var source: MountSource
    public var flags: MountFlags
    /// The file system's own options, between commas.
    public var data: Text
    /// Set when it is mounted, one after another; each one of `unbindable`, `private`, `slave` and `shared`, and perhaps `recursive`.
    public var propagations: [MountFlags] = []
    /// What the directory has that is covered is copied into it.
    public var copiesUp = false
    /// Of a tree of the host: inside are the users and groups of its files, outside those that they are for the machine (an id-mapped mount, mount_setattr(2)).
    public var identities: IdentityMap?

    public init(destination: Text, type: Text, source: MountSource, flags: MountFlags = [], data: Text = "") {
        self.destination = destination
        self.type = type
        self.source = source
        self.flags = flags
        self.data = data
    }

    public func encode(into encoder: inout WireEncoder) {
        destination.encode(into: &encoder)
        type.encode(into: &encoder)
        source.encode(into: &encoder)
        encoder.integer(flags.rawValue)
        data.encode(into: &encoder)
        encoder.integers(propagations.map { $0.rawValue })
        encoder.boolean(copiesUp)
        encoder.optional(identities)
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        destination = try Text(from: &decoder)
        type = try Text(from: &decoder)
        source = try MountSource(from: &decoder)
        flags = MountFlags(rawValue: try decoder.integer())
        data = try Text(from: &decoder)
        let numbers = try decoder.integers(atMost: 16)
        propagations = numbers.map { MountFlags(rawValue: $0) }
        copiesUp = try decoder.boolean()
        identities = try decoder.optional()
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

/// A device node, as mknod(2) makes it; what is behind its number is the machine's.
public struct DeviceNode: WireCodable, Equatable, Sendable {
    /// Absolute.
    public var path: Text
    /// The kind of file and the permissions.
    public var mode: UInt32
    public var major: UInt32
    public var minor: UInt32
    public var user: UInt32
    public var group: UInt32

    public init(path: Text, mode: UInt32, major: UInt32, minor: UInt32, user: UInt32, group: UInt32) {
        self.path = path
        self.mode = mode
        self.major = major
        self.minor = minor
        self.user = user
        self.group = group
    }

    public func encode(into encoder: inout WireEncoder) {
        path.encode(into: &encoder)
        encoder.integer(mode)
        encoder.integer(major)
        encoder.integer(minor)
        encoder.integer(user)
        encoder.integer(group)
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        path = try Text(from: &decoder)
        mode = try decoder.integer()
        major = try decoder.integer()
        minor = try decoder.integer()
        user = try decoder.integer()
        group = try decoder.integer()
    }
}

/// A container: its identity, root file system and mounts. Processes come separately.
public struct ContainerSpec: WireCodable, Equatable, Sendable {
    /// Chosen by the host; names the container in later messages.
    public var container: UInt32
    public var hostname: Text
    /// Empty: none.
    public var domainName: Text
    public var root: RootSource
    /// Where what the container writes is kept, unless its root is the host's.
    public var storage: RootStorage
    public var readOnlyRoot: Bool
    /// As of a mount; nothing: as it is.
    public var rootPropagation: MountFlags
    /// All of them, in order.
    public var mounts: [MountSpec]
    /// Whether the machine has a file system device, with the trees that `root` and `mounts` name.
    public var hasTrees: Bool
    /// Whether /dev gets the runtime specification's default devices and links, where they are missing.
    public var makesDevices: Bool
    /// More of them, in any place. Missing directories are made.
    public var devices: [DeviceNode]
    /// Written before anything is mounted.
    public var files: [InjectedFile]
    /// Values for files below /proc/sys, when everything is mounted (sysctl(8)).
    public var parameters: [InjectedFile]
    public var maskedPaths: [Text]
    public var readOnlyPaths: [Text]
    /// What the container's processes may make and open: an eBPF program of the type BPF_PROG_TYPE_CGROUP_DEVICE, at most `deviceProgramLimit` bytes; empty: anything.
    public var deviceProgram: [UInt8]
    /// All processes and threads of the container (pids.max); 0: no limit.
    public var processLimit: UInt32
    /// Those of the user namespace that the container is in; nil: the machine's. What `mounts` and `devices` say of users and groups is as outside.
    public var identities: IdentityMap?

    /// 4096 instructions.
    public static let deviceProgramLimit = 32768

    public init(container: UInt32, hostname: Text, root: RootSource, storage: RootStorage, readOnlyRoot: Bool = false) {
        self.container = container
        self.hostname = hostname
        domainName = ""
        self.root = root
        self.storage = storage
        self.readOnlyRoot = readOnlyRoot
        rootPropagation = []
        mounts = []
        hasTrees = false
        makesDevices = true
        devices = []
        files = []
        parameters = []
        maskedPaths = []
        readOnlyPaths = []
        deviceProgram = []
        processLimit = 0
        identities = nil
    }

    public func encode(into encoder: inout WireEncoder) {
        encoder.integer(container)
        hostname.encode(into: &encoder)
        domainName.encode(into: &encoder)
        root.encode(into: &encoder)
        storage.encode(into: &encoder)
        encoder.boolean(readOnlyRoot)
        encoder.integer(rootPropagation.rawValue)
        encoder.list(mounts)
        encoder.boolean(hasTrees)
        encoder.boolean(makesDevices)
        encoder.list(devices)
        encoder.list(files)
        encoder.list(parameters)
        encoder.list(maskedPaths)
        encoder.list(readOnlyPaths)
        encoder.byteString(deviceProgram)
        encoder.integer(processLimit)
        encoder.optional(identities)
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        container = try decoder.integer()
        hostname = try Text(from: &decoder)
        domainName = try Text(from: &decoder)
        root = try RootSource(from: &decoder)
        storage = try RootStorage(from: &decoder)
        readOnlyRoot = try decoder.boolean()
        rootPropagation = MountFlags(rawValue: try decoder.integer())
        mounts = try decoder.list(atMost: 1024)
        hasTrees = try decoder.boolean()
        makesDevices = try decoder.boolean()
        devices = try decoder.list(atMost: 4096)
        files = try decoder.list(atMost: 1024)
        parameters = try decoder.list(atMost: 1024)
        maskedPaths = try decoder.list(atMost: 256)
        readOnlyPaths = try decoder.list(atMost: 256)
        deviceProgram = try decoder.byteString(atMost: ContainerSpec.deviceProgramLimit)
        processLimit = try decoder.integer()
        identities = try decoder.optional()
    }
}
