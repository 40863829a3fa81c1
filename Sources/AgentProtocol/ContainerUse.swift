// What a container may use of its machine, and what it uses (cgroup-v2.rst).
public import Wire

public struct ContainerLimits: WireCodable, Equatable, Sendable {
    /// In bytes; 0: all of the machine's.
    public var memory: UInt64
    /// Processes and threads; 0: any number.
    public var processes: UInt32

    public init(memory: UInt64, processes: UInt32) {
        self.memory = memory
        self.processes = processes
    }

    public func encode(into encoder: inout WireEncoder) {
        encoder.integer(memory)
        encoder.integer(processes)
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        memory = try decoder.integer()
        processes = try decoder.integer()
    }
}

/// What the container's control group in the guest has counted. Bytes, microseconds, processes and threads.
public struct ContainerStatistics: WireCodable, Equatable, Sendable {
    /// memory.current, memory.peak and memory.max; where that is none, the machine's memory.
    public var memory: UInt64 = 0
    public var memoryPeak: UInt64 = 0
    public var memoryLimit: UInt64 = 0
    /// memory.stat: anon, file, inactive_file.
    public var anonymous: UInt64 = 0
    public var files: UInt64 = 0
    public var inactiveFiles: UInt64 = 0
    /// cpu.stat: user_usec and system_usec.
    public var userTime: UInt64 = 0
    public var systemTime: UInt64 = 0
    /// pids.current, and pids.max; 0: none.
    public var processes: UInt64 = 0
    public var processLimit: UInt64 = 0
    /// memory.events: oom_kill.
    public var outOfMemoryKills: UInt64 = 0

    public init() {}

    public func encode(into encoder: inout WireEncoder) {
        encoder.integer(memory)
        encoder.integer(memoryPeak)
        encoder.integer(memoryLimit)
        encoder.integer(anonymous)
        encoder.integer(files)
        encoder.integer(inactiveFiles)
        encoder.integer(userTime)
        encoder.integer(systemTime)
        encoder.integer(processes)
        encoder.integer(processLimit)
        encoder.integer(outOfMemoryKills)
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        memory = try decoder.integer()
        memoryPeak = try decoder.integer()
        memoryLimit = try decoder.integer()
        anonymous = try decoder.integer()
        files = try decoder.integer()
        inactiveFiles = try decoder.integer()
        userTime = try decoder.integer()
        systemTime = try decoder.integer()
        processes = try decoder.integer()
        processLimit = try decoder.integer()
        outOfMemoryKills = try decoder.integer()
    }
}
