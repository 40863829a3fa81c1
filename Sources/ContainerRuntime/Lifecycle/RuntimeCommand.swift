// The commands of an OCI runtime, called as engines call runc: swiftlet [GLOBAL OPTIONS] COMMAND [OPTIONS] ID (docs/adr/0017).
import Glibc
import LaunchConfiguration
import LinuxSystem
import OCI
public import Wire

public enum RuntimeCommand: String, Sendable {
    case create, start, state, kill, delete, exec, list, features
}

private enum GlobalOption: Equatable, Sendable {
    case root, log, logFormat, systemdCgroup, debug, rootless

    static let parser = OptionParser<GlobalOption>(
        command: "swiftlet",
        definitions: [
            .init(.root, "root", .required("DIR"), "Where containers are kept (/run/swiftlet)"),
            .init(.log, "log", .required("FILE"), "Append errors to this file"),
            .init(.logFormat, "log-format", .required("FORMAT"), "text or json (text)"),
            .init(.systemdCgroup, "systemd-cgroup", .none, "Not supported: the engine must manage cgroups by itself"),
            .init(.debug, "debug", .none, "Say more"),
            .init(.rootless, "rootless", .required("true|false|auto"), "Taken note of: who asks is seen anyway"),
        ])
}

/// Options before the command's name, as engines give them.
public struct GlobalOptions: Equatable, Sendable {
    public var root: Text?
    public var log: Text?
    public var logsJSON = false

    public init() {}

    /// Splits off what stands before the command. `words` begin with an option, or with the command.
    public static func parse(_ words: [Text]) throws(ContainerError) -> (options: GlobalOptions, rest: [Text]) {
        let (parsed, rest) = try GlobalOption.parser.parse(words)
        var options = GlobalOptions()
        for option in parsed {
            switch option.key {
            case .root: options.root = option.value
            case .log: options.log = option.value
            case .logFormat:
                switch option.value?.string {
                case "json": options.logsJSON = true
                case "text": options.logsJSON = false
                default: throw GlobalOption.parser.usage("the option \(option.spelling) has the value \"\(option.value?.string ?? "")\": it is text or json")
                }
            case .systemdCgroup:
                throw .container("--systemd-cgroup: systemd is not asked for cgroups: tell the engine to manage them by itself (cgroupfs)")
            case .debug, .rootless: break
            }
        }
        return (options, rest)
    }

    public static var help: String { parser.help }
    private static var parser: OptionParser<GlobalOption> { GlobalOption.parser }

    /// Where engines look for the reason of a failure.
    public func note(_ error: ContainerError) {
        guard let log, let file = try? OwnedDescriptor.open(path: log.bytes, O_WRONLY | O_CREAT | O_APPEND, mode: 0o600) else { return }
        let time = Instant.now.standardText
        let entry: JSONValue = .object(("level", "error"), ("msg", .string(error.description)), ("time", .string(time)))
        let text = JSONValue.string(error.description)
        guard let line = try? logsJSON ? entry.text(limit: 1 << 20) : text.text(limit: 1 << 20) else { return }
        let prefix = logsJSON ? "" : "time=\"\(time)\" level=error msg="
        try? writeAll(file.raw, Array(prefix.utf8) + line + [0x0A])
    }
}

private enum RuntimeOption: Equatable, Sendable {
    case detach, tty, process, environment, workingDirectory, user, capability, noNewPrivileges
    case bundle, pidFile, consoleSocket, noPivot, noNewKeyring, preserveDescriptors, all, force, format, quiet, help

    static func parser(_ command: RuntimeCommand) -> OptionParser<RuntimeOption> {
        let own: [OptionDefinition<RuntimeOption>] =
            switch command {
            case .create:
                [
                    .init(.bundle, "bundle", short: "b", .required("DIR"), "The bundle, with its config.json (the working directory)"),
                    .init(.pidFile, "pid-file", .required("FILE"), "Write the container's process id to this file"),
                    .init(.consoleSocket, "console-socket", .required("SOCKET"), "Send the terminal's other side to this socket"),
                    .init(.noPivot, "no-pivot", .none, "Taken note of: the machine has a root of its own"),
                    .init(.noNewKeyring, "no-new-keyring", .none, "Taken note of: the machine has keyrings of its own"),
                    .init(.preserveDescriptors, "preserve-fds", .required("N"), "Only 0: descriptors don't pass into a machine"),
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
            case .start, .state, .features: []
            }
        return OptionParser(
            command: "swiftlet \(command.rawValue)", definitions: own + [.init(.help, "help", short: "h", .none, "Show this help")], isInterspersed: command != .exec)
    }
}

extension RuntimeCommand {
    private var summary: String {
        switch self {
        case .create: "create [OPTIONS] ID\n\nMakes a container of a bundle; 'swiftlet start' runs it."
        case .start: "start ID\n\nRuns the process of a container that was created."
        case .state: "state ID\n\nShows a container's state as JSON."
        case .exec: "exec [OPTIONS] ID COMMAND [ARG...]\n\nRuns one more process in a container."
        case .kill: "kill [OPTIONS] ID [SIGNAL]\n\nSends a signal (TERM) to a container's process."
        case .delete: "delete [OPTIONS] ID\n\nRemoves a container that has stopped."
        case .list: "list [OPTIONS]\n\nLists the containers of --root."
        case .features: "features\n\nShows what this runtime can do, as JSON."
        }
    }

    /// Does what the words after the command say; `print` writes on standard output.
    public func run(_ words: [Text], _ global: GlobalOptions, in surroundings: Surroundings, print: (String) -> Void) throws(ContainerError) {
        let parser = RuntimeOption.parser(self)
        let (options, operands) = try parser.parse(words)
        if options.contains(where: { $0.key == .help }) {
            return print("Usage: swiftlet [GLOBAL OPTIONS] \(summary)\n\nOptions:\n\(parser.help)\nGlobal options:\n\(GlobalOptions.help)")
        }
        let most = self == .list || self == .features ? 0 : self == .kill ? 2 : self == .exec ? .max : 1
        guard operands.count <= most else { throw parser.usage("\"\(operands[most].string)\" is too much") }
        guard most == 0 || !operands.isEmpty else { throw parser.usage("no container: give its ID") }
        if self == .features { return print(try Self.text(Self.featureList)) }

        let directories = try ContainerDirectories.open(global.root, runtimeDirectory: surroundings.variable("XDG_RUNTIME_DIR"))
        if self == .list { return print(try Self.list(directories, options)) }
        let identifier = operands[0].string
        switch self {
        case .create:
            var request = CreateOptions(identifier: identifier)
            for option in options {
                switch option.key {
                case .bundle: request.bundle = option.value
                case .pidFile: request.pidFile = option.value
                case .consoleSocket: request.consoleSocket = option.value
                case .preserveDescriptors where option.value?.string != "0":
                    throw .container("--preserve-fds: descriptors don't pass into a machine: leave it out")
                default: break
                }
            }
            try CreateContainer.run(request, directories, in: surroundings)
        case .start: try Self.start(try directories.find(identifier))
        case .state:
            let directory = try directories.find(identifier)
            let record = try directory.requireRecord()
            print(try Self.text(record.state(directory.status(of: record), isWhole: true)))
        case .kill:
            let text = operands.count > 1 ? operands[1].string : "TERM"
            guard let signal = Quantities.signal(text) else { throw parser.usage("unknown signal \"\(text)\"") }
            try Self.kill(try directories.find(identifier), signal, all: options.contains { $0.key == .all })
        case .delete: try Self.delete(identifier, directories, isForced: options.contains { $0.key == .force })
        case .exec: exit(try ExecContainer.run(try Self.execution(options, Array(operands.dropFirst())), try directories.find(identifier)))
        case .list, .features: break
        }
    }

    private static func execution(_ options: [ParsedOption<RuntimeOption>], _ command: [Text]) throws(ContainerError) -> ExecOptions {
        var request = ExecOptions()
        request.arguments = command
        for option in options {
            switch option.key {
            case .detach: request.isDetached = true
            case .tty: request.terminal = true
            case .process: request.processFile = option.value
            case .pidFile: request.pidFile = option.value
            case .consoleSocket: request.consoleSocket = option.value
            case .environment: request.environment += option.value.map { [$0] } ?? []
            case .workingDirectory: request.workingDirectory = option.value
            case .user: request.user = option.value
            case .capability: request.capabilities += option.value.map { [$0] } ?? []
            case .noNewPrivileges: request.noNewPrivileges = true
            case .preserveDescriptors where option.value?.string != "0":
                throw .container("--preserve-fds: descriptors don't pass into a machine: leave it out")
            default: break
            }
        }
        return request
    }

    // MARK: Each of them

    private static func start(_ directory: ContainerDirectory) throws(ContainerError) {
        try directory.lock()
        let record = try directory.requireRecord()
        switch directory.status(of: record) {
        case .created: try directory.request(.start)
        case .stopped: throw .container("cannot start a container that has stopped")
        case .running, .creating: throw .container("cannot start an already running container")
        }
        // A hook may ask for the container's state, or change it.
        directory.unlock()
        do throws(ContainerError) {
            try HookRunner.run(record.hooks.poststart, "poststart", record.state(.running, isWhole: false))
        } catch {
            end(record)
            throw error
        }
    }

    private static func kill(_ directory: ContainerDirectory, _ signal: UInt8, all: Bool) throws(ContainerError) {
        let record = try directory.requireRecord()
        guard directory.status(of: record) != .stopped else {
            // Whatever was left of it ended with its machine.
            if all { return }
            throw .container("container not running")
        }
        // Not by way of the guest, which might not obey; and everything in it ends with it.
        if signal == UInt8(SIGKILL) { return send(SIGKILL, to: record) }
        if all { throw .container("kill --all: only KILL reaches all processes of a machine at once") }
        try directory.request(.signal(signal))
    }

    /// To the VMM itself. A descriptor first, so that it can't be somebody else who has got its number meanwhile.
    private static func send(_ signal: Int32, to record: ContainerRecord) {
        guard let process = try? ProcessHandle(of: record.process), record.isAlive else { return }
        process.send(signal)
    }

    private static func end(_ record: ContainerRecord) {
        send(SIGKILL, to: record)
        for _ in 0..<2000 where record.isAlive { usleep(5000) }
    }

    private static func delete(_ identifier: String, _ directories: borrowing ContainerDirectories, isForced: Bool) throws(ContainerError) {
        let directory: ContainerDirectory
        do throws(ContainerError) {
            directory = try directories.find(identifier)
            try directory.lock()
        } catch {
            if isForced, case .container(let sentence) = error, sentence.hasPrefix("container does not exist") { return }
            throw error
        }
        let record = try directory.read()
        if let record {
            let status = directory.status(of: record)
            if status != .stopped {
                // runc, too, takes away what was only created.
                guard isForced || status == .created else { throw .container("cannot delete container \(identifier) that is not stopped: \(status.rawValue)") }
                end(record)
                if record.isAlive { throw .container("the machine of the container \(identifier) does not end") }
            }
        } else if !isForced {
            throw .container("container does not exist: \(identifier)")
        }
        try directory.remove(record)
        guard let record else { return }
        do throws(ContainerError) { try HookRunner.run(record.hooks.poststop, "poststop", record.state(.stopped, isWhole: false)) } catch {
            // It is gone all the same.
            printError("swiftlet: warning: \(error.description)")
        }
    }

    private static func list(_ directories: borrowing ContainerDirectories, _ options: [ParsedOption<RuntimeOption>]) throws(ContainerError) -> String {
        let format = options.last { $0.key == .format }?.value?.string ?? "table"
        guard ["table", "json"].contains(format) else {
            throw RuntimeOption.parser(.list).usage("the option --format has the value \"\(format)\": it is table or json")
        }
        var table = Table(["ID", "PID", "STATUS", "BUNDLE", "CREATED"])
        var states: [JSONValue] = []
        var names = ""
        for identifier in try directories.identifiers {
            // One may go meanwhile.
            guard let directory = try? directories.find(identifier), let record = try? directory.read() else { continue }
            let status = directory.status(of: record)
            names += identifier + "\n"
            states.append(record.state(status, isWhole: true))
            table.add([
                identifier, status == .stopped ? "0" : "\(record.process)", status.rawValue, record.bundle, Instant(seconds: record.created).standardText,
            ])
        }
        if options.contains(where: { $0.key == .quiet }) { return names }
        return format == "json" ? try text(.array(states), indented: false) : table.text
    }

    private static func text(_ value: JSONValue, indented: Bool = true) throws(ContainerError) -> String {
        do throws(OCIError) {
            return String(decoding: try value.text(limit: 64 << 20, indented: indented), as: UTF8.self) + "\n"
        } catch { throw .container(error.description) }
    }

    /// "Features Structure" of the runtime specification (features.md).
    private static let featureList: JSONValue = .object(
        ("ociVersionMin", "1.0.0"), ("ociVersionMax", .string(ContainerRecord.version)),
        ("hooks", .strings(["prestart", "createRuntime", "poststart", "poststop"])),
        (
            "mountOptions",
            .strings([
                "async", "atime", "bind", "defaults", "dev", "dirsync", "exec", "noatime", "nodev", "nodiratime", "noexec", "nosuid", "private",
                "rbind", "relatime", "ro", "rprivate", "rw", "strictatime", "suid", "sync",
            ])
        ),
        (
            "linux",
            .object(
                ("namespaces", .strings(["cgroup", "ipc", "mount", "network", "pid", "uts"])),
                ("cgroup", .object(("v1", true), ("v2", true), ("systemd", false), ("systemdUser", false), ("rdma", false))),
                ("seccomp", .object(("enabled", true))), ("apparmor", .object(("enabled", false))), ("selinux", .object(("enabled", false))),
                ("intelRdt", .object(("enabled", false))))
        ))
}
