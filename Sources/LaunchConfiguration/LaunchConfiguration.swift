// What `swiftlet` hands to `swiftlet-vmm`: one Wire value on an inherited memfd, and descriptors that stay open across execve(2).
//
// The VMM opens nothing by name but /dev/kvm. A descriptor's number is believed only after fstat(2) says what it is.
public import Wire

/// A range of an open file.
public struct Extent: WireCodable, Equatable, Sendable {
    public var descriptor: Int32
    /// In bytes.
    public var offset: UInt64
    /// In bytes. In a device it is padded with zeros to a multiple of 4096.
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

/// A virtio block device.
public struct Disk: WireCodable, Equatable, Sendable {
    /// One after another, each padded to a multiple of 4096 bytes. A writable disk has exactly one.
    public var extents: [Extent]
    public var readOnly: Bool
    /// The contents die with the VM: flushes need not reach the disk.
    public var ephemeral: Bool
    /// At most 20 bytes (VIRTIO_BLK_T_GET_ID).
    public var serial: Text
    /// For error texts.
    public var name: Text

    public init(extents: [Extent], readOnly: Bool, ephemeral: Bool, serial: Text, name: Text) {
        self.extents = extents
        self.readOnly = readOnly
        self.ephemeral = ephemeral
        self.serial = serial
        self.name = name
    }

    public func encode(into encoder: inout WireEncoder) {
        encoder.list(extents)
        encoder.boolean(readOnly)
        encoder.boolean(ephemeral)
        serial.encode(into: &encoder)
        name.encode(into: &encoder)
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        extents = try decoder.list(atMost: 4096)
        readOnly = try decoder.boolean()
        ephemeral = try decoder.boolean()
        serial = try Text(from: &decoder)
        name = try Text(from: &decoder)
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

    public func encode(into encoder: inout WireEncoder) {
        encoder.integer(memory)
        encoder.integer(cpus)
        kernel.encode(into: &encoder)
        encoder.optional(initrd)
        commandLine.encode(into: &encoder)
        encoder.list(disks)
        encoder.boolean(console)
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        memory = try decoder.integer()
        cpus = try decoder.integer()
        kernel = try Extent(from: &decoder)
        initrd = try decoder.optional()
        commandLine = try Text(from: &decoder)
        disks = try decoder.list(atMost: 16)
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

/// What the supervisor does once the agent speaks: frames of AgentProtocol that it passes on unread, and the ends of the streams.
public struct SupervisorConfiguration: WireCodable, Equatable, Sendable {
    /// Frames (HostMessage) sent to the agent when it has said hello, back to back.
    public var frames: [UInt8]
    /// The process whose exit status ends the VM.
    public var process: UInt32
    /// Host ports of the process's streams; with a terminal, `outputPort` carries both directions and `errorPort` is 0. 0: not connected.
    public var inputPort: UInt32
    public var outputPort: UInt32
    public var errorPort: UInt32
    /// Standard input is put into raw mode and window size changes are forwarded.
    public var terminal: Bool
    /// The signal that the process gets when the VMM gets SIGTERM, the request to stop (the image's StopSignal).
    public var stopSignal: UInt8 = 15

    public init(frames: [UInt8], process: UInt32, inputPort: UInt32, outputPort: UInt32, errorPort: UInt32, terminal: Bool) {
        self.frames = frames
        self.process = process
        self.inputPort = inputPort
        self.outputPort = outputPort
        self.errorPort = errorPort
        self.terminal = terminal
    }

    public func encode(into encoder: inout WireEncoder) {
        encoder.byteString(frames)
        encoder.integer(process)
        encoder.integer(inputPort)
        encoder.integer(outputPort)
        encoder.integer(errorPort)
        encoder.boolean(terminal)
        encoder.integer(stopSignal)
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        frames = try decoder.byteString(atMost: 16 << 20)
        process = try decoder.integer()
        inputPort = try decoder.integer()
        outputPort = try decoder.integer()
        errorPort = try decoder.integer()
        terminal = try decoder.boolean()
        stopSignal = try decoder.integer()
        guard (1...64).contains(stopSignal) else { throw .unknownValue }
    }
}

/// Everything that one `swiftlet-vmm` needs to know.
public struct LaunchConfiguration: WireCodable, Equatable, Sendable {
    /// Of this layout; another one is refused.
    public static let version: UInt32 = 1
    /// `swiftlet-vmm` reads the configuration from the descriptor that this environment-free argument names: `swiftlet-vmm --configuration N`.
    public static let descriptorArgument = "--configuration"
    /// The largest encoded configuration.
    public static let sizeLimit = 32 << 20

    public var machine: MachineConfiguration
    public var supervisor: SupervisorConfiguration
    /// CLOCK_MONOTONIC in nanoseconds when `swiftlet` was executed: the timeline's zero.
    public var launched: UInt64
    /// Where the timeline is written at the end, as JSON or, on standard error, in words; nil: nowhere.
    public var timeline: Int32?
    public var logLevel: LogLevel

    public init(machine: MachineConfiguration, supervisor: SupervisorConfiguration, launched: UInt64) {
        self.machine = machine
        self.supervisor = supervisor
        self.launched = launched
        timeline = nil
        logLevel = .warn
    }

    public func encode(into encoder: inout WireEncoder) {
        encoder.integer(LaunchConfiguration.version)
        machine.encode(into: &encoder)
        supervisor.encode(into: &encoder)
        encoder.integer(launched)
        encoder.boolean(timeline != nil)
        encoder.signed(timeline ?? -1)
        encoder.integer(logLevel.rawValue)
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        guard try decoder.integer(UInt32.self) == LaunchConfiguration.version else { throw .unknownValue }
        machine = try MachineConfiguration(from: &decoder)
        supervisor = try SupervisorConfiguration(from: &decoder)
        launched = try decoder.integer()
        let hasTimeline = try decoder.boolean()
        let descriptor = try decoder.signed()
        timeline = hasTimeline ? descriptor : nil
        guard let level = LogLevel(rawValue: try decoder.integer()) else { throw .unknownValue }
        logLevel = level
    }
}
