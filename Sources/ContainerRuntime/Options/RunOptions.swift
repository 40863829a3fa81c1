// What `swiftlet run` was asked for.
public import AgentProtocol
import FileServer
public import LaunchConfiguration
public import Wire

/// `swiftlet run [OPTIONS] IMAGE [COMMAND [ARG…]]`, understood but not yet checked against files or the image.
public struct RunOptions: Equatable, Sendable {
    /// Where the boot timeline goes.
    public enum Timeline: Equatable, Sendable {
        case none
        /// In words, on standard error.
        case summary
        /// As JSON.
        case file(Text)
    }

    /// When an image that is named is got from its registry.
    public enum PullPolicy: String, Equatable, Sendable, CaseIterable {
        /// Where the store doesn't have it.
        case missing
        case always
        case never
    }

    public static let defaultMemory: UInt64 = 512 << 20
    /// Less has no room for the kernel and the agent.
    public static let minimumMemory: UInt64 = 32 << 20
    public static let maximumMemory: UInt64 = 1 << 40
    public static let minimumStorage: UInt64 = 16 << 20
    public static let maximumStorage: UInt64 = 16 << 40
    public static let maximumCPUs: UInt64 = 64

    public var interactive = false
    public var terminal = false
    /// NAME=VALUE, or NAME to be taken from the caller.
    public var environment: [Text] = []
    public var environmentFiles: [Text] = []
    public var workingDirectory: Text?
    public var user: Text?
    public var hostname: Text?
    /// Empty: the image's is not used.
    public var entrypoint: Text?
    public var readOnlyRoot = false
    public var temporaryMounts: [MountSpec] = []
    public var bindMounts: [BindMount] = []
    public var cpus: UInt8 = 1
    /// In microseconds for each 100,000; nil: what vCPUs and devices can use.
    public var processorTime: UInt64?
    /// 2 to 262,144, beside other cgroups' 1,024.
    public var processorShares: UInt64?
    /// 10 to 1,000, beside other cgroups' 500.
    public var diskWeight: UInt64?
    /// Whether the VMM gets a cgroup; nil: where it can.
    public var cgroups: Bool?
    /// A path below the root of the hierarchy.
    public var cgroupParent = "/swiftlet"
    /// In bytes.
    public var memory = defaultMemory
    /// In bytes; nil: what the container writes is kept in the guest's memory.
    public var storageSize: UInt64?
    public var diskRates = DiskRates()
    public var pull = PullPolicy.missing
    public var name: Text?
    public var kernel: Text?
    /// How long the guest believes what it was told of the host's files.
    var cache = CacheMode.auto
    public var initrd: Text?
    public var timeline = Timeline.none
    public var logLevel = LogLevel.warn
    public var limits: [ResourceLimit] = []
    public var stopSignal: UInt8?
    public var confinement = ConfinementOptions()
    public var image: Text
    public var command: [Text]

    public init(image: Text, command: [Text] = [], settings: Settings = Settings()) {
        self.image = image
        self.command = command
        cpus = settings.cpus
        memory = settings.memory
        kernel = settings.kernel
        cache = settings.cache
    }

    /// A machine has whole huge pages.
    static func rounded(memory size: UInt64) -> UInt64 {
        let granule: UInt64 = 2 << 20
        return (size + granule - 1) / granule * granule
    }
}

/// What the words after `swiftlet run` ask for.
public enum RunRequest: Equatable, Sendable {
    case help
    case run(RunOptions)
}
