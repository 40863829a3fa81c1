// What `swiftlet` hands to `swiftlet-vmm`: one Wire value in a memfd, which is sent with the descriptors that it names over the lifeline (`LaunchArguments`).
//
// The VMM opens nothing by name. A descriptor's number is believed only after fstat(2) says what it is.
public import Wire

/// A range of an open file.
public struct Extent: WireCodable, Equatable, Sendable {
    public var descriptor: Int32
    /// In bytes.
    public var offset: UInt64
    /// In bytes.
    public var length: UInt64

    public init(descriptor: Int32, offset: UInt64, length: UInt64) {
        self.descriptor = descriptor
        self.offset = offset
        self.length = length
    }

    public func encode(into encoder: inout WireEncoder) {
        encoder.signed(descriptor)
        encoder.integer(offset)
        encoder.integer(length)
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        descriptor = try decoder.signed()
        offset = try decoder.integer()
        length = try decoder.integer()
    }
}

/// The virtual machine.
public struct MachineConfiguration: WireCodable, Equatable, Sendable {
    /// Guest RAM in bytes; a multiple of 2 MiB.
    public var memory: UInt64
    /// 1 to 64.
    public var cpus: UInt8
    /// ELF `vmlinux` or `bzImage`.
    public var kernel: Extent
    public var initrd: Extent?
    /// Appended to the VMM's own kernel parameters.
    public var commandLine: Text
    public var disks: [Disk]
    /// The socket of a server of the host's files (FileServer); nil: the guest sees none.
    public var files: Int32?
    /// A virtio console (hvc0) that carries the kernel's messages to standard error.
    public var console: Bool

    public init(memory: UInt64, cpus: UInt8, kernel: Extent, initrd: Extent?, disks: [Disk]) {
        self.memory = memory
        self.cpus = cpus
        self.kernel = kernel
        self.initrd = initrd
        self.disks = disks
        commandLine = ""
        console = false
    }

    /// Every descriptor that it names.
    public var descriptors: [Int32] {
        [kernel.descriptor] + (initrd.map { [$0.descriptor] } ?? []) + disks.flatMap(\.descriptors) + (files.map { [$0] } ?? [])
    }

    public func encode(into encoder: inout WireEncoder) {
        encoder.integer(memory)
        encoder.integer(cpus)
        kernel.encode(into: &encoder)
        encoder.optional(initrd)
        commandLine.encode(into: &encoder)
        encoder.list(disks)
        encoder.boolean(files != nil)
        encoder.signed(files ?? -1)
        encoder.boolean(console)
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        memory = try decoder.integer()
        cpus = try decoder.integer()
        kernel = try Extent(from: &decoder)
        initrd = try decoder.optional()
        commandLine = try Text(from: &decoder)
        disks = try decoder.list(atMost: 16)
        let hasFiles = try decoder.boolean()
        let socket = try decoder.signed()
        files = hasFiles ? socket : nil
        console = try decoder.boolean()
    }
}

/// How much the VMM says about itself on standard error.
public enum LogLevel: UInt8, Sendable, CaseIterable {
    case error = 0
    case warn = 1
    case info = 2
    /// Kernel messages too.
    case debug = 3
}

/// Everything that one `swiftlet-vmm` needs to know.
public struct LaunchConfiguration: WireCodable, Equatable, Sendable {
    /// Of this layout; another one is refused.
    public static let version: UInt32 = 7
    /// The largest encoded configuration.
    public static let sizeLimit = 32 << 20
    /// The most descriptors that are sent along, its own included: each layer is one, and may end with a disk of two files.
    public static let descriptorLimit = 16384

    public var machine: MachineConfiguration
    public var task: MachineTask
    /// CLOCK_MONOTONIC in nanoseconds when `swiftlet` was executed: the timeline's zero.
    public var launched: UInt64
    /// Where the timeline is written at the end, as JSON or, on standard error, in words; nil: nowhere.
    public var timeline: Int32?
    public var logLevel: LogLevel

    public init(machine: MachineConfiguration, task: MachineTask, launched: UInt64) {
        self.machine = machine
        self.task = task
        self.launched = launched
        timeline = nil
        logLevel = .warn
    }

    public func encode(into encoder: inout WireEncoder) {
        encoder.integer(LaunchConfiguration.version)
        machine.encode(into: &encoder)
        task.encode(into: &encoder)
        encoder.integer(launched)
        encoder.boolean(timeline != nil)
        encoder.signed(timeline ?? -1)
        encoder.integer(logLevel.rawValue)
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        guard try decoder.integer(UInt32.self) == LaunchConfiguration.version else { throw .unknownValue }
        machine = try MachineConfiguration(from: &decoder)
        task = try MachineTask(from: &decoder)
        launched = try decoder.integer()
        let hasTimeline = try decoder.boolean()
        let descriptor = try decoder.signed()
        timeline = hasTimeline ? descriptor : nil
        guard let level = LogLevel(rawValue: try decoder.integer()) else { throw .unknownValue }
        logLevel = level
    }
}
