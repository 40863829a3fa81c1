// The messages themselves. Coarse on purpose: a container and its process are two messages, sent back to back without waiting.
public import Wire

/// From the host to the agent.
public enum HostMessage: Equatable, Sendable {
    /// Unpack a layer onto a disk and take the disk out of use. Answered by `layerUnpacked` or `failed`; one at a time.
    case unpackLayer(LayerSpec)
    /// Mount the container's root file system. Answered by `containerReady` or `failed`.
    case createContainer(ContainerSpec)
    /// Execute a process. Answered by `processStarted` or `failed`, and in the end by `processExited`; before, by `processReady`, where the process waits.
    case startProcess(ProcessSpec)
    /// Let a process go that waits.
    case execute(process: UInt32)
    /// kill(2) to a process, by its host-chosen number.
    case signal(process: UInt32, number: UInt8)
    case resize(process: UInt32, size: WindowSize)
    /// Let a container have as much from now on. Answered by `containerLimited`, in the order of the requests.
    case limit(container: UInt32, ContainerLimits)
    /// Say what a container uses. Answered by `statistics`, in the order of the requests.
    case examine(container: UInt32)
    /// Sync file systems and stop the machine.
    case shutDown

    public enum Kind: UInt16 {
        case createContainer = 1
        case startProcess = 2
        case signal = 3
        case resize = 4
        case shutDown = 5
        case unpackLayer = 6
        case execute = 7
        case limit = 8
        case examine = 9
    }

    public var frame: Frame {
        var encoder = WireEncoder()
        let kind: Kind
        switch self {
        case .unpackLayer(let spec):
            kind = .unpackLayer
            spec.encode(into: &encoder)
        case .createContainer(let spec):
            kind = .createContainer
            spec.encode(into: &encoder)
        case .startProcess(let spec):
            kind = .startProcess
            spec.encode(into: &encoder)
        case .execute(let process):
            kind = .execute
            encoder.integer(process)
        case .signal(let process, let number):
            kind = .signal
            encoder.integer(process)
            encoder.integer(number)
        case .resize(let process, let size):
            kind = .resize
            encoder.integer(process)
            size.encode(into: &encoder)
        case .limit(let container, let limits):
            kind = .limit
            encoder.integer(container)
            limits.encode(into: &encoder)
        case .examine(let container):
            kind = .examine
            encoder.integer(container)
        case .shutDown:
            kind = .shutDown
        }
        return Frame(kind: kind.rawValue, payload: encoder.bytes)
    }

    public init(_ frame: Frame) throws(WireError) {
        guard let kind = Kind(rawValue: frame.kind) else { throw .unknownValue }
        var decoder = WireDecoder(frame.payload)
        switch kind {
        case .unpackLayer: self = .unpackLayer(try LayerSpec(from: &decoder))
        case .createContainer: self = .createContainer(try ContainerSpec(from: &decoder))
        case .startProcess: self = .startProcess(try ProcessSpec(from: &decoder))
        case .execute: self = .execute(process: try decoder.integer())
        case .signal: self = .signal(process: try decoder.integer(), number: try decoder.integer())
        case .resize: self = .resize(process: try decoder.integer(), size: try WindowSize(from: &decoder))
        case .limit: self = .limit(container: try decoder.integer(), try ContainerLimits(from: &decoder))
        case .examine: self = .examine(container: try decoder.integer())
        case .shutDown: self = .shutDown
        }
        try decoder.finish()
    }
}

/// How a process ended.
public enum ExitStatus: WireCodable, Equatable, Sendable {
    case exited(UInt8)
    case signalled(UInt8)

    /// As a shell or `docker run` reports it: the code, or 128 + n.
    public var code: Int32 {
        switch self {
        case .exited(let code): Int32(code)
        case .signalled(let number): 128 + Int32(number)
        }
    }

    public func encode(into encoder: inout WireEncoder) {
        switch self {
        case .exited(let code):
            encoder.integer(UInt8(0))
            encoder.integer(code)
        case .signalled(let number):
            encoder.integer(UInt8(1))
            encoder.integer(number)
        }
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        switch try decoder.integer(UInt8.self) {
        case 0: self = .exited(try decoder.integer())
        case 1: self = .signalled(try decoder.integer())
        default: throw .unknownValue
        }
    }
}

/// What kind of failure the agent reports; decides the exit status.
public enum FailureKind: UInt8, Sendable, CaseIterable {
    /// Anything of the agent's own: exit status 125.
    case agent = 0
    /// The image's content is wrong (digest, archive, escape): exit status 125.
    case image = 1
    /// The root file system's storage is full: exit status 125.
    case storageFull = 2
    /// The command can't be executed (not executable, a directory, wrong format): exit status 126.
    case notExecutable = 3
    /// The command was not found: exit status 127.
    case notFound = 4
    /// User, group or working directory can't be resolved: exit status 125 (as `docker run`: 125 or 126).
    case configuration = 5
    /// The guest's memory ran out: exit status 125.
    case outOfMemory = 6

    public var exitCode: Int32 {
        switch self {
        case .notExecutable: 126
        case .notFound: 127
        default: 125
        }
    }
}

/// From the agent to the host.
public enum AgentMessage: Equatable, Sendable {
    case hello(version: UInt32)
    /// Everything of the layer is on the disk, which isn't mounted any longer.
    case layerUnpacked
    case containerReady(container: UInt32)
    /// Nothing is missing but `HostMessage.execute`.
    case processReady(process: UInt32)
    /// `pid` is the process's id in the guest's initial namespace.
    case processStarted(process: UInt32, pid: UInt32)
    /// Said before the end of the container's first process, where the machine's memory ran out and processes of the container were killed for it.
    case outOfMemory(container: UInt32)
    /// `problem` says why not; empty: it is so.
    case containerLimited(container: UInt32, problem: Text)
    case statistics(container: UInt32, ContainerStatistics)
    /// Sent after the process's last output byte has been handed to its streams.
    case processExited(process: UInt32, status: ExitStatus)
    /// One sentence for the user, without a trailing newline. The request that failed has no other answer. `process`: the one that it was about; 0: none.
    case failed(process: UInt32, kind: FailureKind, text: Text)

    public enum Kind: UInt16 {
        case hello = 1
        case containerReady = 2
        case processStarted = 3
        case processExited = 4
        case failed = 5
        case layerUnpacked = 6
        case processReady = 7
        case outOfMemory = 8
        case containerLimited = 9
        case statistics = 10
    }

    public var frame: Frame {
        var encoder = WireEncoder()
        let kind: Kind
        switch self {
        case .hello(let version):
            kind = .hello
            encoder.integer(version)
        case .layerUnpacked: kind = .layerUnpacked
        case .containerReady(let container):
            kind = .containerReady
            encoder.integer(container)
        case .processReady(let process):
            kind = .processReady
            encoder.integer(process)
        case .processStarted(let process, let pid):
            kind = .processStarted
            encoder.integer(process)
            encoder.integer(pid)
        case .outOfMemory(let container):
            kind = .outOfMemory
            encoder.integer(container)
        case .containerLimited(let container, let problem):
            kind = .containerLimited
            encoder.integer(container)
            problem.encode(into: &encoder)
        case .statistics(let container, let statistics):
            kind = .statistics
            encoder.integer(container)
            statistics.encode(into: &encoder)
        case .processExited(let process, let status):
            kind = .processExited
            encoder.integer(process)
            status.encode(into: &encoder)
        case .failed(let process, let failure, let text):
            kind = .failed
            encoder.integer(process)
            encoder.integer(failure.rawValue)
            text.encode(into: &encoder)
        }
        return Frame(kind: kind.rawValue, payload: encoder.bytes)
    }

    public init(_ frame: Frame) throws(WireError) {
        guard let kind = Kind(rawValue: frame.kind) else { throw .unknownValue }
        var decoder = WireDecoder(frame.payload)
        switch kind {
        case .hello: self = .hello(version: try decoder.integer())
        case .layerUnpacked: self = .layerUnpacked
        case .containerReady: self = .containerReady(container: try decoder.integer())
        case .processReady: self = .processReady(process: try decoder.integer())
        case .processStarted: self = .processStarted(process: try decoder.integer(), pid: try decoder.integer())
        case .outOfMemory: self = .outOfMemory(container: try decoder.integer())
        case .containerLimited: self = .containerLimited(container: try decoder.integer(), problem: try Text(from: &decoder))
        case .statistics: self = .statistics(container: try decoder.integer(), try ContainerStatistics(from: &decoder))
        case .processExited: self = .processExited(process: try decoder.integer(), status: try ExitStatus(from: &decoder))
        case .failed:
            let process: UInt32 = try decoder.integer()
            guard let failure = FailureKind(rawValue: try decoder.integer()) else { throw .unknownValue }
            self = .failed(process: process, kind: failure, text: try Text(from: &decoder))
        }
        try decoder.finish()
    }
}
