// The options of `swiftlet run`: their table, and what their values must look like.
import AgentProtocol
import Confinement
import LaunchConfiguration
public import Wire

enum RunOption: Equatable, Sendable {
    case interactive, terminal, environment, environmentFile, workingDirectory, user, hostname, entrypoint, readOnly, tmpfs, cpus, memory
    case cpuShares, blockWeight, cgroups, cgroupParent, storageSize, readBytes, writeBytes, readOperations, writeOperations, pull, name, remove
    case kernel, initrd, timeline, logLevel, ulimit, stopSignal, help
    case addCapability, dropCapability, privileged, securityOption, processLimit, volume, mount

    static let parser = OptionParser<RunOption>(
        command: "swiftlet run",
        definitions: [
            .init(.interactive, "interactive", short: "i", .none, "Keep standard input open"),
            .init(.terminal, "tty", short: "t", .none, "Give the command a terminal"),
            .init(.environment, "env", short: "e", .required("NAME[=VALUE]"), "Set a variable; without a value, take the caller's"),
            .init(.environmentFile, "env-file", .required("FILE"), "Set variables from a file, one NAME=VALUE a line"),
            .init(.workingDirectory, "workdir", short: "w", .required("DIR"), "Start in this directory"),
            .init(.user, "user", short: "u", .required("USER[:GROUP]"), "Run as this user, by name or number"),
            .init(.hostname, "hostname", short: "h", .required("NAME"), "The container's host name"),
            .init(.entrypoint, "entrypoint", .required("COMMAND"), "Replace the image's entrypoint and drop its command"),
            .init(.readOnly, "read-only", .none, "Make the root file system read-only"),
            .init(.volume, "volume", short: "v", .required("HOST:DIR[:ro]"), "Show a directory or a file of the host"),
            .init(.mount, "mount", .required("FIELDS"), "The same: type=bind,source=HOST,target=DIR[,readonly]; or type=tmpfs"),
            .init(.tmpfs, "tmpfs", .required("DIR[:OPTIONS]"), "Mount a file system in memory"),
            .init(.cpus, "cpus", .required("N"), "Processor time, and as many virtual CPUs, rounded up, to 64 (1)"),
            .init(.memory, "memory", short: "m", .required("SIZE"), "Memory of the machine, as 512m or 2g (512m)"),
            .init(.cpuShares, "cpu-shares", short: "c", .required("N"), "Weight of processor time beside others' 1024, 2 to 262144"),
            .init(.blockWeight, "blkio-weight", .required("N"), "Weight of disk time beside others' 500, 10 to 1000"),
            .init(.cgroups, "cgroups", .required("WHETHER"), "A cgroup for the machine: enabled or disabled (root: enabled)"),
            .init(.cgroupParent, "cgroup-parent", .required("PATH"), "The cgroup in which the machine's is made (/swiftlet)"),
            .init(.storageSize, "storage-size", .required("SIZE"), "Keep what is written on a disk of this size, not in memory"),
            .init(.readBytes, "device-read-bps", .required("/:SIZE"), "Bytes a second that are read from the container's disks, as /:10m"),
            .init(.writeBytes, "device-write-bps", .required("/:SIZE"), "Bytes a second that are written to the disk of --storage-size"),
            .init(.readOperations, "device-read-iops", .required("/:N"), "Reads a second from the container's disks"),
            .init(.writeOperations, "device-write-iops", .required("/:N"), "Writes a second to the disk of --storage-size"),
            .init(.pull, "pull", .required("WHEN"), "Get the image: missing, always or never (missing)"),
            .init(.name, "name", .required("NAME"), "Reserve a name while the container runs"),
            .init(.remove, "rm", .none, "Accepted: nothing is ever kept"),
            .init(.kernel, "kernel", .required("FILE"), "Boot this kernel, a vmlinux or bzImage"),
            .init(.initrd, "initrd", .required("FILE"), "Boot with this initrd"),
            .init(.timeline, "timeline", .optional("FILE"), "Show when each phase was reached, or write it as JSON"),
            .init(.logLevel, "log-level", .required("LEVEL"), "error, warn, info or debug (warn)"),
            .init(.ulimit, "ulimit", .required("NAME=SOFT[:HARD]"), "Set a resource limit; -1 is unlimited"),
            .init(.stopSignal, "stop-signal", .required("SIGNAL"), "What SIGTERM becomes for the command"),
            .init(.addCapability, "cap-add", .required("NAME"), "Add a capability, or ALL"),
            .init(.dropCapability, "cap-drop", .required("NAME"), "Drop a capability, or ALL"),
            .init(.privileged, "privileged", .none, "All capabilities and devices of the machine, and no seccomp filter"),
            .init(.securityOption, "security-opt", .required("OPTION"), "seccomp=FILE, no-new-privileges, systempaths=unconfined, …"),
            .init(.processLimit, "pids-limit", .required("N"), "Processes and threads at most; -1 is unlimited (-1)"),
            .init(.help, "help", .none, "Show this help"),
        ])
}

extension RunOptions {
    public static var help: String {
        """
        Usage: swiftlet run [OPTIONS] IMAGE [COMMAND [ARG...]]

        Runs a command in a container, in a virtual machine of its own.

        IMAGE is a name, pulled where the store lacks it, an ID in the store, or a local image:
          oci:DIR[:NAME]               a directory in OCI layout
          oci-archive:FILE[:NAME]      a tar archive of one
          docker-archive:FILE[:NAME]   an archive that "docker save" wrote
        The prefix may be left out. @N in NAME's place is the image's number, counted from 0.

        Options (they end at IMAGE):
        \(RunOption.parser.help)
        The exit status is the command's; 125 if Swiftlet itself fails, 126 if the command cannot be
        executed, 127 if it is not found, 128+N if signal N ended it.

        """
    }

    /// Understands the words after `swiftlet run`. `settings`: what is not said.
    public static func parse(_ arguments: [Text], _ settings: @autoclosure () throws(ContainerError) -> Settings = Settings()) throws(ContainerError)
        -> RunRequest
    {
        let (parsed, operands) = try RunOption.parser.parse(arguments)
        if parsed.contains(where: { $0.key == .help }) { return .help }
        guard let image = operands.first else { throw RunOption.parser.usage("no image: name one after the options") }
        var options = RunOptions(image: image, command: Array(operands.dropFirst()), settings: try settings())
        for option in parsed { try options.apply(option) }
        guard options.bindMounts.count <= FileServerArguments.treeLimit else {
            throw RunOption.parser.usage("\(options.bindMounts.count) directories of the host are too many: at most \(FileServerArguments.treeLimit)")
        }
        if options.diskRates.limitsWriting, options.storageSize == nil {
            throw RunOption.parser.usage(
                "what the container writes is kept in memory: give --storage-size SIZE with --device-write-bps or --device-write-iops")
        }
        return .run(options)
    }

    private mutating func apply(_ option: ParsedOption<RunOption>) throws(ContainerError) {
        // Options with a required value always have one here.
        let value = option.value ?? ""
        switch option.key {
        case .interactive: interactive = true
        case .terminal: terminal = true
        case .environment:
            guard !Environment.name(of: value).isEmpty else { throw wrong(option, "there is no variable name: write NAME=VALUE") }
            environment.append(value)
        case .environmentFile: environmentFiles.append(value)
        case .workingDirectory:
            guard value.bytes.first == UInt8(ascii: "/") else { throw wrong(option, "it must be an absolute path") }
            workingDirectory = value
        case .user: user = value
        case .hostname: hostname = try checkedHostname(option)
        case .entrypoint: entrypoint = value
        case .readOnly: readOnlyRoot = true
        case .tmpfs: temporaryMounts.append(try TemporaryMount.parse(value, or: { phrase in wrong(option, phrase) }))
        case .volume: bindMounts.append(try BindMount.parse(volume: value, or: { phrase in wrong(option, phrase) }))
        case .mount:
            switch try BindMount.parse(mount: value, or: { phrase in wrong(option, phrase) }) {
            case .bind(let mount): bindMounts.append(mount)
            case .temporary(let mount): temporaryMounts.append(mount)
            }
        case .name: name = try checkedName(option)
        case .cgroups:
            guard let enabled = ["enabled": true, "disabled": false][value.string] else { throw wrong(option, "it must be enabled or disabled") }
            cgroups = enabled
        case .cgroupParent: cgroupParent = try checkedCgroup(option)
        case .remove, .help: break
        case .kernel: kernel = value
        case .initrd: initrd = value
        case .timeline: timeline = option.value.map(Timeline.file) ?? .summary
        case .readBytes, .writeBytes, .readOperations, .writeOperations: try applyRate(option, value)
        case .privileged: confinement.isPrivileged = true
        case .addCapability, .dropCapability, .securityOption: try applyConfinement(option, value)
        case .cpus, .cpuShares, .blockWeight, .memory, .storageSize, .pull, .logLevel, .ulimit, .stopSignal, .processLimit:
            try applyQuantity(option, value.string)
        }
    }

    private mutating func applyConfinement(_ option: ParsedOption<RunOption>, _ value: Text) throws(ContainerError) {
        if option.key == .securityOption {
            if let problem = confinement.apply(securityOption: value) { throw wrong(option, problem) }
            return
        }
        do throws(ConfinementError) { _ = try CapabilitySet(adding: [value.string], dropping: []) } catch { throw wrong(option, error.description) }
        if option.key == .addCapability {
            confinement.addedCapabilities.append(value.string)
        } else {
            confinement.droppedCapabilities.append(value.string)
        }
    }

    private mutating func applyQuantity(_ option: ParsedOption<RunOption>, _ text: String) throws(ContainerError) {
        switch option.key {
        case .cpus:
            guard let count = Quantities.cpus(text), count <= Self.maximumCPUs else {
                throw wrong(option, "it must be a number above 0 and at most \(Self.maximumCPUs)")
            }
            cpus = UInt8(count)
            processorTime = Quantities.processorTime(text)
        case .cpuShares:
            guard let shares = UInt64(text), (2...262_144).contains(shares) else { throw wrong(option, "it must be a number from 2 to 262144") }
            processorShares = shares
        case .blockWeight:
            guard let weight = UInt64(text), (10...1000).contains(weight) else { throw wrong(option, "it must be a number from 10 to 1000") }
            diskWeight = weight
        case .memory:
            let size = try size(option, text)
            guard size >= Self.minimumMemory else { throw wrong(option, "a machine needs at least 32m: try 512m") }
            guard size <= Self.maximumMemory else { throw wrong(option, "a machine can have at most 1t") }
            memory = Self.rounded(memory: size)
        case .storageSize:
            let size = try size(option, text)
            guard size >= Self.minimumStorage else { throw wrong(option, "a scratch disk needs at least 16m") }
            guard size <= Self.maximumStorage else { throw wrong(option, "a scratch disk can have at most 16t") }
            storageSize = size
        case .pull:
            guard let policy = PullPolicy(rawValue: text) else { throw wrong(option, "it must be missing, always or never") }
            pull = policy
        case .logLevel:
            let levels: [String: LogLevel] = ["error": .error, "warn": .warn, "info": .info, "debug": .debug]
            guard let level = levels[text] else { throw wrong(option, "it must be error, warn, info or debug") }
            logLevel = level
        case .ulimit:
            switch Quantities.limit(text) {
            case .success(let limit): limits = limits.filter { $0.resource != limit.resource } + [limit]
            case .failure(let phrase): throw wrong(option, phrase.description)
            }
        case .processLimit:
            // More than a kernel can have (PID_MAX_LIMIT) is no limit.
            guard let number = Int64(text), number >= -1 else { throw wrong(option, "it must be a number of processes, or -1") }
            confinement.processLimit = number > 4 << 20 ? 0 : UInt32(clamping: number)
        case .stopSignal:
            guard let number = Quantities.signal(text) else { throw wrong(option, "it is no signal: give a name such as SIGQUIT or a number") }
            stopSignal = number
        default: break
        }
    }

    private mutating func applyRate(_ option: ParsedOption<RunOption>, _ value: Text) throws(ContainerError) {
        let isSize = option.key == .readBytes || option.key == .writeBytes
        let rate: UInt64
        switch DiskRates.parse(value, isSize: isSize) {
        case .success(let number): rate = number
        case .failure(let phrase): throw wrong(option, phrase.description)
        }
        // As with Docker, 0 is no limit.
        let limit = rate == 0 ? nil : rate
        switch option.key {
        case .readBytes: diskRates.readBytes = limit
        case .writeBytes: diskRates.writeBytes = limit
        case .readOperations: diskRates.readOperations = limit
        default: diskRates.writeOperations = limit
        }
    }

    private func size(_ option: ParsedOption<RunOption>, _ text: String) throws(ContainerError) -> UInt64 {
        guard let size = Quantities.size(text) else { throw wrong(option, "it is no size: give a number and b, k, m or g, such as 512m") }
        return size
    }

    /// Docker's rule: [a-zA-Z0-9][a-zA-Z0-9_.-]+
    private func checkedName(_ option: ParsedOption<RunOption>) throws(ContainerError) -> Text {
        let value = option.value ?? ""
        let isFine = value.bytes.allSatisfy { Self.isLetterOrDigit($0) || "_.-".utf8.contains($0) }
        guard isFine, value.bytes.count >= 2, Self.isLetterOrDigit(value.bytes[0]) else {
            throw wrong(option, "names are two or more letters, digits, \"_\", \".\" and \"-\", beginning with a letter or digit")
        }
        guard value.bytes.count <= ContainerName.lengthLimit else {
            throw wrong(option, "names have at most \(ContainerName.lengthLimit) characters")
        }
        return value
    }

    private func checkedCgroup(_ option: ParsedOption<RunOption>) throws(ContainerError) -> String {
        let components = (option.value ?? "").string.split(separator: "/")
        guard !components.isEmpty, components.allSatisfy({ $0 != "." && $0 != ".." && $0.utf8.count <= 255 }) else {
            throw wrong(option, "it must be a path such as /machines, without \".\" and \"..\"")
        }
        return "/" + components.joined(separator: "/")
    }

    private func checkedHostname(_ option: ParsedOption<RunOption>) throws(ContainerError) -> Text {
        let value = option.value ?? ""
        guard (1...64).contains(value.bytes.count), value.bytes.allSatisfy({ Self.isLetterOrDigit($0) || ".-_".utf8.contains($0) }) else {
            throw wrong(option, "host names are 1 to 64 letters, digits, \".\", \"-\" and \"_\"")
        }
        return value
    }

    private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        (byte | 0x20) >= UInt8(ascii: "a") && (byte | 0x20) <= UInt8(ascii: "z") || byte >= 0x30 && byte <= 0x39
    }

    private func wrong(_ option: ParsedOption<RunOption>, _ phrase: String) -> ContainerError {
        RunOption.parser.usage("\(option.spelling) \"\(option.value?.string ?? "")\": \(phrase)")
    }
}
