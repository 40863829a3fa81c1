// The options of each command of an OCI runtime, with runc's names.

enum RuntimeOption: Equatable, Sendable {
    case detach, tty, process, additionalGroups, environment, workingDirectory, user, capability, noNewPrivileges
    case bundle, pidFile, consoleSocket, noPivot, noNewKeyring, noSubreaper, keep, preserveDescriptors, all, force, format, quiet, help
    case resources, blockWeight, processorPeriod, processorQuota, processorShare, processors, memoryNodes, memory, memoryReservation, memorySwap
    case processLimit, idle, stats, interval, rootless

    /// Of `create` and of what begins with it.
    private static let creation: [OptionDefinition<RuntimeOption>] = [
        .init(.bundle, "bundle", short: "b", .required("DIR"), "The bundle, with its config.json (the working directory)"),
        .init(.pidFile, "pid-file", .required("FILE"), "Write the container's process id to this file"),
        .init(.consoleSocket, "console-socket", .required("SOCKET"), "Send the terminal's other side to this socket"),
        .init(.noPivot, "no-pivot", .none, "Taken note of: the machine has a root of its own"),
        .init(.noNewKeyring, "no-new-keyring", .none, "Taken note of: the machine has keyrings of its own"),
        .init(.preserveDescriptors, "preserve-fds", .required("N"), "Only 0: descriptors don't pass into a machine"),
    ]

    static func parser(_ command: RuntimeCommand) -> OptionParser<RuntimeOption> {
        let own: [OptionDefinition<RuntimeOption>] =
            switch command {
            case .create: creation
            case .run:
                creation + [
                    .init(.detach, "detach", short: "d", .none, "Let it run by itself"),
                    .init(.keep, "keep", .none, "Don't remove it when it has ended"),
                    .init(.noSubreaper, "no-subreaper", .none, "Taken note of: the machine reaps its own processes"),
                ]
            case .update:
                [
                    .init(.resources, "resources", short: "r", .required("FILE"), "All of them as JSON, as in config.json (-: standard input)"),
                    .init(.blockWeight, "blkio-weight", .required("N"), "Disks' time, 10 to 1000"),
                    .init(.processorPeriod, "cpu-period", .required("MICROSECONDS"), "The period that --cpu-quota is of"),
                    .init(.processorQuota, "cpu-quota", .required("MICROSECONDS"), "Processor time in each period (-1: all)"),
                    .init(.processorShare, "cpu-share", .required("N"), "Processor time beside other containers' 1024"),
                    .init(.processors, "cpuset-cpus", .required("LIST"), "The host's processors, as in 0-3,7"),
                    .init(.memoryNodes, "cpuset-mems", .required("LIST"), "The host's memory nodes"),
                    .init(.memory, "memory", .required("SIZE"), "At most the machine's memory (-1: all of it)"),
                    .init(.memoryReservation, "memory-reservation", .required("SIZE"), "What is left to it where others want more"),
                    .init(.memorySwap, "memory-swap", .required("SIZE"), "Taken note of: a machine has no swap"),
                    .init(.processLimit, "pids-limit", .required("N"), "Processes and threads (-1: any number)"),
                ]
            case .events:
                [
                    .init(.stats, "stats", .none, "Once, and no events"),
                    .init(.interval, "interval", .required("TIME"), "How often (5s)"),
                ]
            case .spec:
                [
                    .init(.bundle, "bundle", short: "b", .required("DIR"), "Where config.json is written (the working directory)"),
                    .init(.rootless, "rootless", .none, "Taken note of: the same serves everybody"),
                ]
            case .exec:
                [
                    .init(.detach, "detach", short: "d", .none, "Let it run by itself"),
                    .init(.tty, "tty", short: "t", .none, "Give it a terminal"),
                    .init(.process, "process", short: "p", .required("FILE"), "The process as JSON, as in config.json"),
                    .init(.pidFile, "pid-file", .required("FILE"), "Write the id of the host's process for it to this file"),
                    .init(.consoleSocket, "console-socket", .required("SOCKET"), "Send the terminal's other side to this socket"),
                    .init(.environment, "env", short: "e", .required("NAME=VALUE"), "Set a variable (repeatable)"),
                    .init(.workingDirectory, "cwd", .required("DIR"), "Its working directory in the container"),
                    .init(.user, "user", short: "u", .required("UID[:GID]"), "Run it as this user"),
                    .init(.additionalGroups, "additional-gids", short: "g", .required("GID"), "Put it into this group, too (repeatable)"),
                    .init(.capability, "cap", short: "c", .required("NAME"), "Add a capability (repeatable)"),
                    .init(.noNewPrivileges, "no-new-privs", .none, "Its privileges never grow"),
                    .init(.preserveDescriptors, "preserve-fds", .required("N"), "Only 0: descriptors don't pass into a machine"),
                ]
            case .kill: [.init(.all, "all", short: "a", .none, "Send it to all processes of the container: only with KILL")]
            case .delete: [.init(.force, "force", short: "f", .none, "Kill the container first; one that isn't there is no error")]
            case .list:
                [
                    .init(.format, "format", short: "f", .required("FORMAT"), "table or json (table)"),
                    .init(.quiet, "quiet", short: "q", .none, "Names only"),
                ]
            case .ps: [.init(.format, "format", short: "f", .required("FORMAT"), "table or json (table)")]
            case .start, .state, .pause, .resume, .features: []
            }
        return OptionParser(
            command: "swiftlet \(command.rawValue)", definitions: own + [.init(.help, "help", short: "h", .none, "Show this help")],
            isInterspersed: command != .exec && command != .ps)
    }
}
