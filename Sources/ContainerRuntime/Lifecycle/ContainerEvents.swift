// `swiftlet events`: what a container uses, as its guest counts it, and when its memory ran out; in runc's form, a JSON object a line.
import AgentProtocol
import Glibc
import LinuxSystem
import OCI
import Wire

enum ContainerEvents {
    /// Looked for this often, in nanoseconds.
    private static let pace: UInt64 = 200_000_000

    /// Once with `--stats`; otherwise every `--interval`, until the container has ended.
    static func run(_ directory: ContainerDirectory, _ options: [ParsedOption<RuntimeOption>], print: (String) -> Void) throws(ContainerError) {
        let text = options.last { $0.key == .interval }?.value?.string ?? "5s"
        guard let interval = Quantities.duration(text), interval > 0 else {
            throw RuntimeOption.parser(.events).usage(
                "the option --interval has the value \"\(text)\": it is a time in whole seconds like 5s, and not 0")
        }
        let record = try directory.requireRecord()
        guard directory.status(of: record) != .stopped else { throw .container("container with id \(directory.identifier) is not running") }
        if options.contains(where: { $0.key == .stats }) { return print(try line(directory, UpdateContainer.statistics(directory))) }
        var kills: UInt64 = 0
        var next = monotonicNanoseconds()
        while directory.status(of: record) != .stopped {
            // A machine that stands still says nothing.
            if directory.status(of: record) != .paused, let statistics = try? UpdateContainer.statistics(directory) {
                for _ in kills..<max(kills, statistics.outOfMemoryKills) {
                    print(try JSONText.line(.object(("type", "oom"), ("id", .string(directory.identifier)))))
                }
                kills = max(kills, statistics.outOfMemoryKills)
                if monotonicNanoseconds() >= next {
                    print(try line(directory, statistics))
                    next += UInt64(interval) * 1_000_000_000
                }
            }
            usleep(UInt32(pace / 1000))
        }
    }

    private static func line(_ directory: ContainerDirectory, _ statistics: ContainerStatistics) throws(ContainerError) -> String {
        func number(_ value: UInt64) -> JSONValue { .integer(Int64(clamping: value)) }
        let none: JSONValue = .object(("limit", .integer(0)), ("usage", .integer(0)), ("max", .integer(0)), ("failcnt", .integer(0)))
        let raw: JSONValue = .object(
            ("anon", number(statistics.anonymous)), ("file", number(statistics.files)), ("inactive_file", number(statistics.inactiveFiles)))
        let data: JSONValue = .object(
            (
                "cpu",
                .object(
                    (
                        "usage",
                        .object(
                            ("total", number((statistics.userTime &+ statistics.systemTime) &* 1000)),
                            ("kernel", number(statistics.systemTime &* 1000)),
                            ("user", number(statistics.userTime &* 1000)))
                    ), ("throttling", .object()))
            ),
            (
                "memory",
                .object(
                    ("cache", number(statistics.files)),
                    (
                        "usage",
                        .object(
                            ("limit", number(statistics.memoryLimit)), ("usage", number(statistics.memory)), ("max", number(statistics.memoryPeak)),
                            ("failcnt", number(statistics.outOfMemoryKills)))
                    ), ("swap", none), ("kernel", none), ("kernelTCP", none), ("raw", raw))
            ), ("pids", .object(("current", number(statistics.processes)), ("limit", number(statistics.processLimit)))), ("blkio", .object()),
            ("hugetlb", .object()), ("intel_rdt", .object()), ("network_interfaces", .null))
        return try JSONText.line(.object(("type", "stats"), ("id", .string(directory.identifier)), ("data", data)))
    }
}
