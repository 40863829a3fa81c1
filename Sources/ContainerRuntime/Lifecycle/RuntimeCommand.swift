// The commands of an OCI runtime, called as engines call runc: swiftlet [GLOBAL OPTIONS] COMMAND [OPTIONS] ID (docs/adr/0017).
import Glibc
import LinuxSystem
import OCI
public import Wire

public enum RuntimeCommand: String, Sendable {
    case create, start, run, state, kill, delete, exec, ps, list, pause, resume, update, events, features, spec
}

extension RuntimeCommand {
    private var summary: String {
        switch self {
        case .create: "create [OPTIONS] ID\n\nMakes a container of a bundle; 'swiftlet start' runs it."
        case .start: "start ID\n\nRuns the process of a container that was created."
        case .run:
            "run --bundle DIR [OPTIONS] ID\n\nMakes a container of a bundle, runs it, and removes it when it has ended. Without --bundle in the first place, 'swiftlet run' runs an image."
        case .state: "state ID\n\nShows a container's state as JSON."
        case .exec: "exec [OPTIONS] ID COMMAND [ARG...]\n\nRuns one more process in a container."
        case .kill: "kill [OPTIONS] ID [SIGNAL]\n\nSends a signal (TERM) to a container's process."
        case .delete: "delete [OPTIONS] ID\n\nRemoves a container that has stopped."
        case .ps: "ps [OPTIONS] ID\n\nShows the processes of the host that a container is: one. 'swiftlet exec ID ps' shows those in it."
        case .pause: "pause ID\n\nHas a container's machine stand still."
        case .resume: "resume ID\n\nHas it go on."
        case .list: "list [OPTIONS]\n\nLists the containers of --root."
        case .update: "update [OPTIONS] ID\n\nChanges the limits of a container."
        case .events: "events [OPTIONS] ID\n\nShows what a container uses, as JSON, again and again."
        case .spec: "spec [OPTIONS]\n\nWrites a config.json to begin with."
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
        let most = self == .list || self == .features || self == .spec ? 0 : self == .kill ? 2 : self == .exec || self == .ps ? .max : 1
        guard operands.count <= most else { throw parser.usage("\"\(operands[most].string)\" is too much") }
        guard most == 0 || !operands.isEmpty else { throw parser.usage("no container: give its ID") }
        if self == .features { return print(try JSONText.indented(Self.featureList)) }
        if self == .spec { return try BundleTemplate.write(to: options.last { $0.key == .bundle }?.value) }

        let makesRoot = self == .create || self == .run || global.root == nil
        guard
            let directories = try ContainerDirectories.open(
                global.root, runtimeDirectory: surroundings.variable("XDG_RUNTIME_DIR"), makes: makesRoot)
        else {
            if self == .delete, options.contains(where: { $0.key == .force }) { return }
            throw .container(
                self == .list
                    ? "\(global.root?.string ?? ""): no such file or directory: check --root" : "container does not exist: \(operands[0].string)")
        }
        if self == .list { return print(try ListContainers.text(directories, options)) }
        let identifier = operands[0].string
        switch self {
        case .create: try CreateContainer.run(try Self.creation(identifier, options, global), directories, in: surroundings).letGo()
        case .run:
            var request = RunBundleOptions(create: try Self.creation(identifier, options, global))
            request.isDetached = options.contains { $0.key == .detach }
            request.keeps = options.contains { $0.key == .keep }
            exit(try RunContainer.run(request, directories, in: surroundings))
        case .start: try StartContainer.run(try directories.find(identifier))
        case .state:
            let directory = try directories.find(identifier)
            let record = try directory.requireRecord()
            print(try JSONText.indented(record.state(directory.status(of: record), isWhole: true)))
        case .kill:
            let text = operands.count > 1 ? operands[1].string : "TERM"
            // 0 asks only whether it is there.
            guard let signal = text == "0" ? 0 : Quantities.signal(text) else { throw parser.usage("unknown signal \"\(text)\"") }
            try KillContainer.run(try directories.find(identifier), signal, all: options.contains { $0.key == .all })
        case .delete: try DeleteContainer.run(identifier, directories, isForced: options.contains { $0.key == .force })
        case .exec: exit(try ExecContainer.run(try Self.execution(options, Array(operands.dropFirst())), try directories.find(identifier)))
        case .pause, .resume: try PauseContainer.run(try directories.find(identifier), pausing: self == .pause)
        case .ps: print(try ListProcesses.text(try directories.find(identifier), options, Array(operands.dropFirst())))
        case .update: try UpdateContainer.run(try directories.find(identifier), options)
        case .events: try ContainerEvents.run(try directories.find(identifier), options, print: print)
        case .list, .features, .spec: break
        }
    }

    private static func creation(
        _ identifier: String, _ options: [ParsedOption<RuntimeOption>], _ global: GlobalOptions
    ) throws(ContainerError) -> CreateOptions {
        var request = CreateOptions(identifier: identifier)
        request.asksSystemd = global.asksSystemd
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
        return request
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
            case .additionalGroups:
                guard let number = UInt32(option.value?.string ?? "") else {
                    throw RuntimeOption.parser(.exec).usage(
                        "the option \(option.spelling) has the value \"\(option.value?.string ?? "")\": it is a number")
                }
                request.additionalGroups.append(number)
            case .noNewPrivileges: request.noNewPrivileges = true
            case .preserveDescriptors where option.value?.string != "0":
                throw .container("--preserve-fds: descriptors don't pass into a machine: leave it out")
            default: break
            }
        }
        return request
    }

    // MARK: features

    /// "Features Structure" of the runtime specification (features.md).
    private static let featureList: JSONValue = .object(
        ("ociVersionMin", "1.0.0"), ("ociVersionMax", .string(ContainerRecord.version)),
        ("hooks", .strings(["prestart", "createRuntime", "startContainer", "poststart", "poststop"])),
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
                ("cgroup", .object(("v1", true), ("v2", true), ("systemd", true), ("systemdUser", false), ("rdma", false))),
                ("seccomp", .object(("enabled", true))), ("apparmor", .object(("enabled", false))), ("selinux", .object(("enabled", false))),
                ("intelRdt", .object(("enabled", false))))
        ))
}
