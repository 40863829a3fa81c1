// `swiftlet create`: everything is made and waits, and this process leaves; the VMM is the container from then on (docs/adr/0017).
import AgentProtocol
import CLinux
import Confinement
import Glibc
import Images
import Jail
import LaunchConfiguration
import LinuxSystem
import OCI
import Wire

/// What `swiftlet create` was asked for.
struct CreateOptions {
    var identifier: String
    /// As given; nil: the working directory.
    var bundle: Text?
    var pidFile: Text?
    var consoleSocket: Text?
    /// Whether systemd makes its cgroup.
    var asksSystemd = false
    /// Whether it has this process's terminal, if it has one.
    var isAttended = false
}

/// A container that waits for its start, as long as this value or, once it was let go, by itself.
struct CreatedContainer {
    let machine: VMMProcess
    fileprivate let fileServer: FileServerProcess

    func letGo() {
        machine.letGo()
        fileServer.letLiveOn()
    }
}

enum CreateContainer {
    static func run(
        _ options: CreateOptions, _ directories: borrowing ContainerDirectories, in surroundings: Surroundings
    ) throws(ContainerError) -> CreatedContainer {
        let bundle = try absolute(options.bundle ?? ".")
        var specification = try read(bundle)
        if options.isAttended, let size = TerminalMode.size(of: STDIN_FILENO) {
            specification.process?.consoleSize = RuntimeSpecification.ConsoleSize(rows: size.rows, columns: size.columns)
        }
        var plan = try BundlePlan(specification, for: options.identifier, in: bundle, try Settings.load(surroundings))
        if plan.process.terminal && options.consoleSocket == nil && !options.isAttended {
            throw .container("cannot allocate tty if runtime will detach without setting console socket: give --console-socket")
        }
        if !plan.process.terminal && options.consoleSocket != nil {
            throw .container("cannot use console socket if process.terminal is not set: leave --console-socket out")
        }
        try ContainerDirectories.check(options.identifier)
        let installation = surroundings.installation
        let kernel = try OpenFile.open(
            "the kernel", plan.settings.kernel?.string ?? installation.kernel,
            remedy: plan.settings.kernel == nil ? "install Swiftlet again" : "check kernel in \(Settings.path.string), or the annotation")
        let initrd = try installation.open("the initrd", installation.initrd)
        let seccomp = try compile(specification.seccomp, plan.process.capabilities)
        var mounts = plan.trees
        let trees = try HostTrees.open(&mounts, named: "config.json")
        guard !mounts[0].isFile else { throw .bundle(field: "root.path", problem: " is not a directory: \(mounts[0].source.string)") }
        plan.note(mounts)
        let placement = try plan.placement(bySystemd: options.asksSystemd)
        let network = try openNetwork(plan.network)
        plan.podHostName = plan.hostNamesNamespace.flatMap { directories.hostName(ofNamespace: $0) }

        let directory = try directories.make(options.identifier)
        do throws(ContainerError) {
            let console = options.consoleSocket != nil ? try Console(size: plan.process.consoleSize) : nil
            let machine = try VMMProcess(from: installation, in: placement, terminal: console?.user.raw, network: network?.raw)
            withExtendedLifetime(network) {}
            // With a terminal the engine reads what this command says until nobody holds it any more.
            let nothing = console == nil ? nil : try openNothing()
            let fileServer = try FileServerProcess(
                trees, for: mounts, cache: plan.settings.cache, from: installation, in: machine.cgroup, endsMachine: true, streams: nothing?.raw)
            withExtendedLifetime(nothing) {}
            guard machine.waitForNamespaces() else { throw silent }
            var record = ContainerRecord(
                identifier: options.identifier, process: machine.pid, started: ContainerRecord.beginning(of: machine.pid) ?? 0, bundle: bundle,
                rootDirectory: mounts[0].source.string, specification: specification,
                cgroup: machine.cgroup?.path, created: Instant.now.seconds)
            record.systemdUnit = placement?.scope?.unit
            record.memory = plan.memory
            try directory.write(seccomp: seccomp)
            try directory.write(record)
            let state = record.state(.creating, isWhole: false)
            try HookRunner.run(specification.hooks.prestart, "prestart", state)
            try HookRunner.run(specification.hooks.createRuntime, "createRuntime", state)

            let (control, status) = try connections(directory)
            let files = LaunchFiles(
                kernel: Extent(descriptor: kernel.descriptor.raw, offset: 0, length: kernel.size),
                initrd: Extent(descriptor: initrd.descriptor.raw, offset: 0, length: initrd.size), fileServer: fileServer.socket)
            let lifecycle = LifecycleDescriptors(
                control: control.raw, status: status.raw, owner: Identity.available == .fresh ? UInt32(geteuid()) : 0)
            try machine.send(
                plan.configuration(
                    files, lifecycle, seccomp: seccomp, state: record.state(.created, isWhole: false), inputIsEmpty: inputIsNothing(),
                    launched: surroundings.launched))
            withExtendedLifetime((kernel, initrd, control, status)) {}
            fileServer.letGo()
            if let socket = options.consoleSocket { try console?.send(to: socket) }
            switch machine.outcome() {
            case .done: break
            case .failed(let sentence): throw ContainerError.container(sentence.string)
            case .exited, .statistics, nil: throw silent
            }
            if let path = options.pidFile { try PIDFile.write(machine.pid, to: path) }
            // Its lock, too, until here.
            withExtendedLifetime(directory) {}
            return CreatedContainer(machine: machine, fileServer: fileServer)
        } catch {
            // The machine has ended with its value.
            try? directory.remove(try? directory.read())
            throw error
        }
    }

    private static let silent = ContainerError.container(
        "the container's machine ended before it was ready: what it said went where the container's errors go")

    /// Others than root can't be in somebody else's.
    private static func openNetwork(_ path: String?) throws(ContainerError) -> SharedDescriptor? {
        guard let path else { return nil }
        let field = "linux.namespaces"
        do {
            let namespace = try OwnedDescriptor.open(path, O_RDONLY | O_NONBLOCK)
            let raw = namespace.raw
            guard let kind = try? systemCall("ioctl NS_GET_NSTYPE", { clinux_ioctl(raw, CLINUX_NS_GET_NSTYPE, 0) }), kind == CLINUX_CLONE_NEWNET
            else {
                throw ContainerError.bundle(field: field, problem: ": \"\(path)\" is no network namespace")
            }
            return Identity.available == .fresh ? SharedDescriptor(namespace) : nil
        } catch let error as SystemError {
            throw .bundle(field: field, problem: ": the network namespace \(path) cannot be opened: \(error.reason)")
        } catch let error as ContainerError { throw error } catch { preconditionFailure("no other errors are thrown") }
    }

    private static func openNothing() throws(ContainerError) -> SharedDescriptor {
        do throws(SystemError) { return SharedDescriptor(try OwnedDescriptor.open("/dev/null", O_RDWR)) } catch {
            throw .system(what: "the server of the host's files cannot be started", error)
        }
    }

    private static func connections(_ directory: ContainerDirectory) throws(ContainerError) -> (control: SharedDescriptor, status: SharedDescriptor) {
        do throws(SystemError) {
            return (SharedDescriptor(try directory.makeControl()), SharedDescriptor(try directory.makeStatus()))
        } catch { throw .system(what: "the container cannot be made reachable", error) }
    }

    /// A reader of /dev/null needs nobody who reads it for it.
    private static func inputIsNothing() -> Bool {
        var (input, null) = (stat(), stat())
        // SAFETY: the calls write one `stat` each, and read a string.
        return unsafe fstat(STDIN_FILENO, &input) == 0 && stat("/dev/null", &null) == 0 && input.st_mode & S_IFMT == S_IFCHR
            && input.st_rdev == null.st_rdev
    }

    private static func compile(_ profile: JSONValue?, _ capabilities: CapabilitySet) throws(ContainerError) -> SeccompProgram? {
        guard let profile else { return nil }
        do throws(ConfinementError) {
            return try SeccompCompiler.compile(SeccompProfile(configuration: profile), for: capabilities)
        } catch { throw .confinement(error) }
    }

    private static func read(_ bundle: String) throws(ContainerError) -> RuntimeSpecification {
        let bytes: [UInt8]
        do throws(SystemError) {
            let file = try OwnedDescriptor.open(bundle + "/config.json", O_RDONLY | O_NONBLOCK)
            guard try file.status().kind == .regular else { throw SystemError(call: "open", subject: bundle + "/config.json", errno: EINVAL) }
            bytes = try readAll(file.raw, limit: Int(JSONDocument.sizeLimit) + 1)
        } catch {
            if error.errno == ENOENT { throw .container("JSON specification file \(bundle)/config.json not found: check --bundle") }
            throw .file(what: "the bundle's configuration", error, remedy: "check --bundle")
        }
        guard bytes.count <= Int(JSONDocument.sizeLimit) else { throw .container("\(bundle)/config.json exceeds 4 MiB") }
        do throws(OCIError) { return try RuntimeSpecification(json: bytes, name: "config.json") } catch { throw .container(error.description) }
    }

    private static func absolute(_ path: Text) throws(ContainerError) -> String {
        // SAFETY: realpath reads the string and returns one that it has made, or nothing.
        guard let resolved = unsafe realpath(path.string, nil) else {
            throw .container(
                "the bundle \(path.string) cannot be found: \(SystemError(call: "realpath", errno: clinux_errno()).reason): check --bundle")
        }
        defer { unsafe free(resolved) }
        return unsafe String(cString: resolved)
    }
}
