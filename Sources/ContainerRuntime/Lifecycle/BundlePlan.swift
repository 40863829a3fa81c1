// From config.json to what the VMM and the agent are told (docs/adr/0017). Pure: it opens nothing.
import AgentProtocol
import Confinement
import Jail
import LaunchConfiguration
import OCI
import Wire

struct BundlePlan {
    let specification: RuntimeSpecification
    let process: RuntimeSpecification.Process
    /// What the host shows: the root file system first, then each bind mount, in the order of the mounts.
    private(set) var trees: [BindMount]
    /// In the container's mounts, the number of each one's tree.
    private let mounts: [(mount: RuntimeSpecification.Mount, tree: Int?)]
    private let identifier: String
    /// What the configuration leaves open.
    let settings: Settings
    /// The pod's, where it is in one and has no host name of its own.
    var podHostName: String?

    /// `bundle`: where relative paths begin, absolute. `settings`: the host's.
    init(
        _ specification: RuntimeSpecification, for identifier: String, in bundle: String, _ settings: Settings = Settings()
    ) throws(ContainerError) {
        if let refusal = specification.refusals.first { throw .bundle(field: refusal.path, problem: refusal.problem) }
        guard let process = specification.process else {
            throw .bundle(field: "process", problem: " is missing")
        }
        self.specification = specification
        self.process = process
        self.identifier = identifier
        self.settings = try settings.with(annotations: specification.annotations)
        func absolute(_ path: String) -> Text { Text(path.hasPrefix("/") ? path : bundle + "/" + path) }
        var trees = [BindMount(source: absolute(specification.root.path), destination: "/", isReadOnly: false, makesSource: false)]
        var mounts: [(RuntimeSpecification.Mount, Int?)] = []
        for (index, mount) in specification.mounts.enumerated() {
            try Self.check(mount, "mounts[\(index)]")
            guard mount.isBind else {
                mounts.append((mount, nil))
                continue
            }
            mounts.append((mount, trees.count))
            trees.append(
                BindMount(
                    source: absolute(mount.source), destination: Text(mount.destination), isReadOnly: mount.options.contains("ro"),
                    makesSource: false))
        }
        guard trees.count <= FileServerArguments.treeLimit else {
            throw .bundle(field: "mounts", problem: " has more than \(FileServerArguments.treeLimit - 1) bind mounts")
        }
        self.trees = trees
        self.mounts = mounts
        try checkNamespaces()
        try checkIdentities()
        try checkTexts()
        try process.checkTexts()
    }

    /// Whether each of `trees` is a single file, which is known when they have been opened.
    mutating func note(_ trees: [BindMount]) { self.trees = trees }

    // MARK: Checks

    /// mount(8)'s words that a bind mount may have; it takes no others.
    private static let bindOptions: Set<String> = [
        "bind", "rbind", "ro", "rw", "nosuid", "suid", "nodev", "dev", "noexec", "exec", "noatime", "atime", "nodiratime",
        "relatime", "strictatime", "sync", "async", "dirsync", "defaults", "idmap", "ridmap",
    ]
    /// What the guest's kernel knows and what is harmless there.
    private static let types: Set<String> = ["proc", "tmpfs", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2"]

    private static func check(_ mount: RuntimeSpecification.Mount, _ field: String) throws(ContainerError) {
        guard mount.destination.hasPrefix("/") else {
            throw .bundle(field: field + ".destination", problem: " \"\(mount.destination)\" is not an absolute path")
        }
        if mount.isBind {
            // mount(2) ignores data like size=1k here.
            let isUnknown = { (option: String) in
                option.hasPrefix("idmap=") || !bindOptions.contains(option) && MountFlags.propagation(option) == nil && !option.contains("=")
            }
            guard let option = mount.options.first(where: isUnknown) else { return }
            throw .bundle(field: field + ".options", problem: " \"\(option)\" is not supported for a bind mount")
        }
        guard types.contains(mount.type) else {
            throw .bundle(
                field: field + ".type",
                problem: " \"\(mount.type)\" is not supported: it is one of bind, \(types.sorted().joined(separator: ", "))")
        }
    }

    /// A machine has one of each for itself, and can't be in another's. The containers of a pod have the engine's word that they are in a pod, and its name (docs/adr/0021).
    private func checkNamespaces() throws(ContainerError) {
        for (index, namespace) in specification.namespaces.enumerated() {
            let field = "linux.namespaces[\(index)]"
            switch namespace.type {
            case "pid", "ipc", "uts", "mount", "cgroup", "user":
                guard let path = namespace.path, !path.isEmpty else { continue }
                if isInPod, Self.namespacesOfPods.contains(namespace.type) { continue }
                throw .bundle(field: field + ".path", problem: " \"\(path)\": a machine can't be in somebody else's \(namespace.type) namespace")
            // The guest has no network but its own loopback, wherever the VMM is.
            case "network": continue
            case "time": continue
            default: throw .bundle(field: field + ".type", problem: " \"\(namespace.type)\" is no namespace")
            }
        }
    }

    /// No path, argument or variable holds a NUL, which JSON can.
    private func checkTexts() throws(ContainerError) {
        let mounts = specification.mounts.flatMap { [$0.destination, $0.source, $0.type] + $0.options }
        let hooks = specification.hooks.startContainer.flatMap { [$0.path] + $0.arguments + $0.environment }
        let lists: [(String, [String])] = [
            ("root.path", [specification.root.path]), ("hostname", [specification.hostname]), ("domainname", [specification.domainName]),
            ("mounts", mounts), ("linux.maskedPaths", specification.maskedPaths), ("linux.readonlyPaths", specification.readOnlyPaths),
            ("linux.sysctl", specification.parameters.flatMap { [$0.key, $0.value] }), ("linux.devices", specification.devices.map(\.path)),
            ("hooks.startContainer", hooks),
        ]
        for (field, texts) in lists where texts.contains(where: { $0.utf8.contains(0) }) {
            throw .bundle(field: field, problem: " holds a NUL character")
        }
    }

    /// The network namespace that the container is to be in, as a path; nil: one of its own.
    var network: String? { path(ofNamespace: "network") }

    private func path(ofNamespace type: String) -> String? {
        specification.namespaces.last { $0.type == type }?.path.flatMap { $0.isEmpty ? nil : $0 }
    }

    // MARK: Pods

    /// What kubelets and Podman have all containers of a pod share, whether or not these have a use for it.
    private static let namespacesOfPods: Set<String> = ["ipc", "uts"]

    /// What engines call a container that belongs to another one, the pod's sandbox.
    private var isInPod: Bool {
        ["io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType"].contains { specification.annotations[$0] == "container" }
    }

    /// The namespace whose host name the container has, as a path; nil where it has one of its own.
    var hostNamesNamespace: String? { specification.hostname.isEmpty ? path(ofNamespace: "uts") : nil }

    // MARK: The machine

    /// Guest RAM in bytes: what the container may have, or the default.
    var memory: UInt64 {
        guard let limit = specification.resources.memory, limit > 0 else { return settings.memory }
        return min(max(RunOptions.rounded(memory: UInt64(limit)), RunOptions.minimumMemory), RunOptions.maximumMemory)
    }

    /// As many as the processor time that the container may have can keep busy.
    var cpus: UInt8 {
        guard let quota = specification.resources.quota, quota > 0 else { return settings.cpus }
        let period = max(specification.resources.period ?? 100_000, 1)
        return UInt8(min(max((UInt64(quota) + period - 1) / period, 1), RunOptions.maximumCPUs))
    }

    /// The VMM's cgroup: the engine's, or one of ours. `bySystemd`: systemd makes it.
    func placement(bySystemd: Bool) throws(ContainerError) -> Placement? {
        guard Identity.available == .fresh else { return nil }
        let path = specification.cgroupsPath
        var components = path.split(separator: "/").map(String.init)
        var scope: SystemdScope?
        if bySystemd {
            scope = SystemdScope(cgroupsPath: path.isEmpty ? ":swiftlet:\(identifier)" : path)
            guard scope != nil else {
                throw .bundle(field: "linux.cgroupsPath", problem: " \"\(path)\" is not SLICE:PREFIX:NAME, as systemd needs it")
            }
            components = []
        }
        guard bySystemd || !path.contains(":") else {
            throw .bundle(field: "linux.cgroupsPath", problem: " \"\(path)\" is for systemd: give --systemd-cgroup, or a path between slashes")
        }
        guard !components.contains("..") else { throw .bundle(field: "linux.cgroupsPath", problem: " leads out of the hierarchy") }
        if components.isEmpty { components = ["swiftlet", identifier] }
        let name = components.removeLast()
        var placement = Placement(parent: "/" + components.joined(separator: "/"), memory: memory, cpus: cpus)
        placement.name = name
        placement.scope = scope
        placement.addFileServer(memory: memory)
        specification.resources.apply(to: &placement.limits)
        return placement
    }

    /// `files`: with the file server's socket. `state`: what hooks in the container are told.
    func configuration(
        _ files: LaunchFiles, _ lifecycle: LifecycleDescriptors, seccomp: SeccompProgram?, state: JSONValue, inputIsEmpty: Bool, launched: UInt64
    ) throws(ContainerError) -> LaunchConfiguration {
        var machine = MachineConfiguration(memory: memory, cpus: cpus, kernel: files.kernel, initrd: files.initrd, disks: [])
        machine.files = files.fileServer
        let input = inputIsEmpty && !process.terminal ? 0 : LaunchPlan.inputPort
        let messages = [
            HostMessage.createContainer(containerSpec()).frame,
            HostMessage.startProcess(try firstProcess(input: input, seccomp, state)).frame,
        ]
        guard messages.allSatisfy({ $0.payload.count <= Frame.payloadLimit }) else { throw .tooLargeRequest }
        var supervisor = SupervisorConfiguration(
            frames: messages.flatMap(\.bytes), process: LaunchPlan.firstProcess, inputPort: input, outputPort: LaunchPlan.outputPort,
            errorPort: process.terminal ? 0 : LaunchPlan.errorPort, terminal: process.terminal)
        supervisor.lifecycle = lifecycle
        return LaunchConfiguration(machine: machine, task: .container(supervisor), launched: launched)
    }

    private func firstProcess(input: UInt32, _ seccomp: SeccompProgram?, _ state: JSONValue) throws(ContainerError) -> ProcessSpec {
        var spec = try process.spec(
            process.terminal
                ? .terminal(port: LaunchPlan.outputPort, size: process.windowSize)
                : .pipes(input: input, output: LaunchPlan.outputPort, error: LaunchPlan.errorPort), filter: seccomp?.bytes ?? [])
        spec.waits = true
        spec.hooks = specification.hooks.startContainer.map { hook in
            // One without an environment has the process's.
            HookSpec(
                path: Text(hook.path), arguments: hook.arguments.map { Text($0) },
                environment: hook.environment.isEmpty ? spec.environment : hook.environment.map { Text($0) },
                timeout: UInt32(clamping: max(0, hook.timeout ?? 0)))
        }
        if !spec.hooks.isEmpty { spec.state = Array(try JSONText.line(state).utf8) }
        return spec
    }

    // MARK: The container

    private func containerSpec() -> ContainerSpec {
        var spec = ContainerSpec(
            container: LaunchPlan.container, hostname: Text(hostName),
            root: .tree(0), storage: .memory(bytes: 0), readOnlyRoot: specification.root.isReadOnly)
        spec.rootPropagation = MountFlags.propagation(specification.rootPropagation) ?? []
        spec.domainName = Text(specification.domainName)
        spec.hasTrees = true
        spec.mounts = mounts.map { mount, tree in
            guard let tree else { return mount.inGuest(identities) }
            var spec = MountSpec(
                destination: Text(mount.destination), type: "bind", source: trees[tree].isFile ? .file(UInt32(tree)) : .directory(UInt32(tree)),
                flags: MountFlags.parse(mount.options).flags.subtracting([.bind, .recursive]))
            spec.propagations = mount.propagations
            spec.identities = identities(of: mount)
            return spec
        }
        spec.makesDevices = !mounts.contains { $0.tree != nil && $0.mount.destination == "/dev" }
        // A /dev of the host's is left as it is, as by runc.
        if spec.makesDevices { spec.devices = specification.devices.map { DeviceNode($0, identities) } }
        spec.parameters = specification.parameters.sorted { $0.key < $1.key }.map { name, value in
            let path = "/proc/sys/" + String(name.map { $0 == "." ? "/" : $0 == "/" ? "." : $0 })
            return InjectedFile(path: Text(path), mode: 0, contents: Array(value.utf8))
        }
        spec.maskedPaths = Self.unique(specification.maskedPaths).map { Text($0) }
        spec.readOnlyPaths = Self.unique(specification.readOnlyPaths).map { Text($0) }
        spec.deviceProgram = DeviceProgram.compile(deviceRules)
        spec.processLimit = UInt32(clamping: max(0, specification.resources.processes ?? 0))
        spec.identities = identities
        return spec
    }

    private var hostName: String {
        specification.hostname.isEmpty ? podHostName ?? String(identifier.prefix(12)) : specification.hostname
    }

    private static func unique(_ paths: [String]) -> [String] {
        var found: Set<String> = []
        return paths.filter { found.insert($0).inserted }
    }

    /// What every container needs may be made and opened, whatever else is forbidden, as with runc.
    private var deviceRules: [DeviceRule] {
        [DeviceRule(allow: false, .any, .all)] + specification.resources.devices.compactMap(DeviceRule.init) + DeviceRule.standard.dropFirst()
    }
}

extension RuntimeSpecification.Mount {
    /// A mount of the machine's is private to begin with.
    fileprivate var propagations: [MountFlags] {
        let all = options.compactMap(MountFlags.propagation)
        return all.allSatisfy { $0.contains(.private) } ? [] : all
    }

    var isBind: Bool { type == "bind" || options.contains("bind") || options.contains("rbind") }

    /// As the guest's kernel has it: control groups are version 2 there, and it mounts outside of the container's user namespace.
    fileprivate func inGuest(_ identities: IdentityMap?) -> MountSpec {
        let words = options.filter { !["tmpcopyup", "notmpcopyup"].contains($0) }
        let (flags, data) = MountFlags.parse(identities.map { identities in words.map { identities.outside(option: $0) } } ?? words)
        var spec = MountSpec(
            destination: Text(destination), type: type == "cgroup" ? "cgroup2" : Text(type), source: .name(Text(source.isEmpty ? type : source)),
            flags: flags, data: data)
        spec.copiesUp = type == "tmpfs" && options.contains("tmpcopyup")
        spec.propagations = propagations
        return spec
    }
}

extension DeviceNode {
    fileprivate init(_ node: RuntimeSpecification.DeviceNode, _ identities: IdentityMap?) {
        // S_IFBLK, S_IFIFO, S_IFCHR
        let kind: UInt32 = node.type == "b" ? 0o060000 : node.type == "p" ? 0o010000 : 0o020000
        self.init(
            path: Text(node.path), mode: kind | node.mode, major: node.major, minor: node.minor,
            user: identities?.user(outside: node.user) ?? node.user, group: identities?.group(outside: node.group) ?? node.group)
    }
}

extension DeviceRule {
    /// Nil for what is no device (pipes).
    fileprivate init?(_ device: RuntimeResources.DeviceRule) {
        let kind: Kind
        switch device.type {
        case "", "a": kind = .any
        case "b": kind = .block
        case "c", "u": kind = .character
        default: return nil
        }
        var access: Access = []
        if device.access.contains("m") { access.insert(.make) }
        if device.access.contains("r") { access.insert(.read) }
        if device.access.contains("w") { access.insert(.write) }
        func number(_ value: Int64?) -> UInt32? { value.flatMap { $0 < 0 ? nil : UInt32(exactly: $0) } }
        self.init(allow: device.allow, kind, major: number(device.major), minor: number(device.minor), access)
    }
}
