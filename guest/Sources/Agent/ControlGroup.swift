// The control group of a container (cgroup-v2.rst): what it may have and has, and which devices its processes may open. The agent stays outside.
internal import AgentProtocol
internal import CGuest
internal import FirstProcess
internal import GuestSystem
internal import Unpacker
internal import Wire

enum ControlGroup {
    /// Where the agent sees all groups. A container sees its own alone, through a namespace.
    static func prepareMachine() throws(SystemError) {
        try FileSystem.makeDirectory("/groups", mode: 0o755)
        try FileSystem.mount("cgroup", on: "/groups", type: "cgroup2")
        // What a kernel of the user's own doesn't have is missed only by those who ask for it.
        for controller in ["+pids", "+memory", "+cpu", "+io", "+cpuset"] as [StaticString] {
            try? write(Array(controller), to: "/groups/cgroup.subtree_control")
        }
    }

    /// The directory of the container's group, into which its processes are born.
    static func make(_ spec: ContainerSpec) throws(Failure) -> OwnedDescriptor {
        do throws(SystemError) {
            let path = path(spec.container)
            try FileSystem.makeDirectory(path, mode: 0o755)
            if spec.processLimit > 0 { try set("pids.max", of: spec.container, to: UInt64(spec.processLimit)) }
            let group = try OwnedDescriptor.open(path, O_RDONLY | O_DIRECTORY)
            if !spec.deviceProgram.isEmpty { try Processes.decideDevices(group.raw, spec.deviceProgram) }
            return group
        } catch { throw Failure(.agent, "the container's control group can't be made: \(error)") }
    }

    // MARK: Later

    static func limit(_ container: UInt32, _ limits: ContainerLimits) throws(SystemError) {
        try set("memory.max", of: container, to: limits.memory)
        try set("pids.max", of: container, to: UInt64(limits.processes))
    }

    static func statistics(_ container: UInt32) -> ContainerStatistics {
        var statistics = ContainerStatistics()
        statistics.memory = number("memory.current", of: container)
        statistics.memoryPeak = number("memory.peak", of: container)
        statistics.memoryLimit = number("memory.max", of: container)
        if statistics.memoryLimit == 0 { statistics.memoryLimit = Machine.memory }
        statistics.processes = number("pids.current", of: container)
        statistics.processLimit = number("pids.max", of: container)
        let memory = contents("memory.stat", of: container)
        statistics.anonymous = value("anon", in: memory)
        statistics.files = value("file", in: memory)
        statistics.inactiveFiles = value("inactive_file", in: memory)
        let processor = contents("cpu.stat", of: container)
        statistics.userTime = value("user_usec", in: processor)
        statistics.systemTime = value("system_usec", in: processor)
        statistics.outOfMemoryKills = outOfMemoryKills(container)
        return statistics
    }

    /// How many of its processes were killed because memory ran out, the machine's or its own.
    static func outOfMemoryKills(_ container: UInt32) -> UInt64 { value("oom_kill", in: contents("memory.events", of: container)) }

    // MARK: Files

    private static func path(_ container: UInt32) -> CPath { "/groups/\(Int(container))" }

    /// 0: no limit.
    private static func set(_ file: StaticString, of container: UInt32, to value: UInt64) throws(SystemError) {
        let text: Sentence = value == 0 ? "max" : "\(Int(clamping: value))"
        try write(text.bytes, to: "\(path(container).bytes)/\(file)")
    }

    private static func contents(_ file: StaticString, of container: UInt32) -> [UInt8] {
        (try? InputOutput.contents(of: "\(path(container).bytes)/\(file)", atMost: 16384)) ?? []
    }

    /// Of a file that is one number; 0 for `max`, and where there is no such file.
    private static func number(_ file: StaticString, of container: UInt32) -> UInt64 { number(contents(file, of: container)[...]) }

    private static func number(_ text: ArraySlice<UInt8>) -> UInt64 {
        var number: UInt64 = 0
        for byte in text.prefix(19) {
            guard byte >= 0x30, byte <= 0x39 else { break }
            number = number * 10 + UInt64(byte - 0x30)
        }
        return number
    }

    /// Of a file with a name and a number on each line.
    private static func value(_ name: StaticString, in text: [UInt8]) -> UInt64 {
        let key = Array(name)
        for line in fields(of: text[...], separatedBy: 0x0A) {
            let parts = fields(of: line, separatedBy: 0x20)
            if parts.count == 2, parts[0].elementsEqual(key) { return number(parts[1]) }
        }
        return 0
    }

    private static func write(_ text: [UInt8], to path: CPath) throws(SystemError) {
        let file = try OwnedDescriptor.open(path, O_WRONLY)
        try InputOutput.writeAll(file.raw, text)
    }
}
