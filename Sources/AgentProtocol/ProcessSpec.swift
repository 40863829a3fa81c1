// A process in a container.
public import Wire

/// A resource limit as in setrlimit(2): `resource` is the RLIMIT_ number.
public struct ResourceLimit: WireCodable, Equatable, Sendable {
    public var resource: UInt32
    public var soft: UInt64
    public var hard: UInt64

    public init(resource: UInt32, soft: UInt64, hard: UInt64) {
        self.resource = resource
        self.soft = soft
        self.hard = hard
    }

    public func encode(into encoder: inout WireEncoder) {
        encoder.integer(resource)
        encoder.integer(soft)
        encoder.integer(hard)
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        resource = try decoder.integer()
        soft = try decoder.integer()
        hard = try decoder.integer()
    }
}

/// A terminal's size in characters.
public struct WindowSize: WireCodable, Equatable, Sendable {
    public var rows: UInt16
    public var columns: UInt16

    public init(rows: UInt16, columns: UInt16) {
        self.rows = rows
        self.columns = columns
    }

    public func encode(into encoder: inout WireEncoder) {
        encoder.integer(rows)
        encoder.integer(columns)
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        rows = try decoder.integer()
        columns = try decoder.integer()
    }
}

/// The streams of a process, each a vsock connection that the agent opens to the host's port given here; 0 means /dev/null.
public enum ProcessStreams: WireCodable, Equatable, Sendable {
    case pipes(input: UInt32, output: UInt32, error: UInt32)
    /// One connection carries the terminal's input and output.
    case terminal(port: UInt32, size: WindowSize)

    public func encode(into encoder: inout WireEncoder) {
        switch self {
        case .pipes(let input, let output, let error):
            encoder.integer(UInt8(0))
            encoder.integer(input)
            encoder.integer(output)
            encoder.integer(error)
        case .terminal(let port, let size):
            encoder.integer(UInt8(1))
            encoder.integer(port)
            size.encode(into: &encoder)
        }
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        switch try decoder.integer(UInt8.self) {
        case 0: self = .pipes(input: try decoder.integer(), output: try decoder.integer(), error: try decoder.integer())
        case 1: self = .terminal(port: try decoder.integer(), size: try WindowSize(from: &decoder))
        default: throw .unknownValue
        }
    }
}

/// A program of the container's that runs before its process is executed ("startContainer" of the OCI runtime specification's hooks), as who the process will be.
public struct HookSpec: WireCodable, Equatable, Sendable {
    /// Absolute.
    public var path: Text
    public var arguments: [Text]
    public var environment: [Text]
    /// In seconds; 0: as long as it takes.
    public var timeout: UInt32

    public init(path: Text, arguments: [Text], environment: [Text], timeout: UInt32) {
        self.path = path
        self.arguments = arguments
        self.environment = environment
        self.timeout = timeout
    }

    public func encode(into encoder: inout WireEncoder) {
        path.encode(into: &encoder)
        encoder.list(arguments)
        encoder.list(environment)
        encoder.integer(timeout)
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        path = try Text(from: &decoder)
        arguments = try decoder.list(atMost: 65536)
        environment = try decoder.list(atMost: 65536)
        timeout = try decoder.integer()
    }
}

/// Sets of capabilities(7). What doesn't go together is left out: inheritable only what is in the bounding set, ambient only what is permitted and inheritable.
public struct CapabilitySets: WireCodable, Equatable, Sendable {
    public var effective: UInt64
    public var permitted: UInt64
    public var inheritable: UInt64
    public var ambient: UInt64

    public init(effective: UInt64, permitted: UInt64, inheritable: UInt64 = 0, ambient: UInt64 = 0) {
        self.effective = effective
        self.permitted = permitted
        self.inheritable = inheritable
        self.ambient = ambient
    }

    public func encode(into encoder: inout WireEncoder) {
        encoder.integer(effective)
        encoder.integer(permitted)
        encoder.integer(inheritable)
        encoder.integer(ambient)
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        effective = try decoder.integer()
        permitted = try decoder.integer()
        inheritable = try decoder.integer()
        ambient = try decoder.integer()
    }
}

/// What to execute in a container, as in the OCI runtime specification's `process`.
public struct ProcessSpec: WireCodable, Equatable, Sendable {
    public var container: UInt32
    /// Chosen by the host; names the process in later messages. The container's first process ends the container.
    public var process: UInt32
    /// `arguments[0]` is looked up in the environment's PATH inside the container.
    public var arguments: [Text]
    /// `NAME=value` each.
    public var environment: [Text]
    /// Absolute; created where it is missing, as Docker does.
    public var workingDirectory: Text
    /// `USER[:GROUP]`, names or numbers, resolved in the container's /etc/passwd and /etc/group; empty means root.
    public var user: Text
    /// Besides those that the user has.
    public var additionalGroups: [UInt32]
    /// Of the file mode creation mask (umask(2)).
    public var umask: UInt32
    public var limits: [ResourceLimit]
    /// Who is killed first when memory runs out (proc(5), oom_score_adj): -1000 to 1000.
    public var outOfMemoryAdjustment: Int32
    /// The bounding set (capabilities(7)): bit n is capability n.
    public var capabilities: UInt64
    /// The other sets that execve(2) starts from. Nil: of root, effective and permitted as the bounding set, and nothing else; of others, nothing.
    public var capabilitySets: CapabilitySets?
    public var noNewPrivileges: Bool
    /// The seccomp filter: instructions of classic BPF (struct sock_filter), at most `filterLimit` bytes; empty: none. Installed last, right before execve(2).
    public var filter: [UInt8]
    public var streams: ProcessStreams
    /// Prepared in every respect, and found to be executable, the process waits for `HostMessage.execute`.
    public var waits: Bool
    /// Run one after another when it is let go, each with `state` on its standard input.
    public var hooks: [HookSpec]
    public var state: [UInt8]

    public init(
        container: UInt32, process: UInt32, arguments: [Text], environment: [Text], workingDirectory: Text, streams: ProcessStreams
    ) {
        self.container = container
        self.process = process
        self.arguments = arguments
        self.environment = environment
        self.workingDirectory = workingDirectory
        self.streams = streams
        user = ""
        additionalGroups = []
        umask = 0o022
        limits = []
        outOfMemoryAdjustment = 0
        capabilities = ProcessSpec.defaultCapabilities
        capabilitySets = nil
        noNewPrivileges = false
        filter = []
        waits = false
        hooks = []
        state = []
    }

    /// BPF_MAXINSNS instructions.
    public static let filterLimit = 32768

    /// Docker's default set: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE, NET_RAW, SYS_CHROOT, MKNOD, AUDIT_WRITE, SETFCAP.
    public static let defaultCapabilities: UInt64 =
        [0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31].reduce(0) { $0 | (1 << $1) }

    public func encode(into encoder: inout WireEncoder) {
        encoder.integer(container)
        encoder.integer(process)
        encoder.list(arguments)
        encoder.list(environment)
        workingDirectory.encode(into: &encoder)
        user.encode(into: &encoder)
        encoder.integers(additionalGroups)
        encoder.integer(umask)
        encoder.list(limits)
        encoder.signed(outOfMemoryAdjustment)
        encoder.integer(capabilities)
        encoder.optional(capabilitySets)
        encoder.boolean(noNewPrivileges)
        encoder.byteString(filter)
        streams.encode(into: &encoder)
        encoder.boolean(waits)
        encoder.list(hooks)
        encoder.byteString(state)
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        container = try decoder.integer()
        process = try decoder.integer()
        arguments = try decoder.list(atMost: 65536)
        environment = try decoder.list(atMost: 65536)
        workingDirectory = try Text(from: &decoder)
        user = try Text(from: &decoder)
        additionalGroups = try decoder.integers(atMost: 65536)
        umask = try decoder.integer()
        limits = try decoder.list(atMost: 16)
        outOfMemoryAdjustment = try decoder.signed()
        capabilities = try decoder.integer()
        capabilitySets = try decoder.optional()
        noNewPrivileges = try decoder.boolean()
        filter = try decoder.byteString(atMost: ProcessSpec.filterLimit)
        streams = try ProcessStreams(from: &decoder)
        waits = try decoder.boolean()
        hooks = try decoder.list(atMost: 1024)
        state = try decoder.byteString(atMost: 4 << 20)
    }
}
