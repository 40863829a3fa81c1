// From options, image and open files to the configuration that the VMM gets. Pure: it opens nothing.
public import AgentProtocol
public import Confinement
public import LaunchConfiguration
import LinuxSystem
import OCI
public import Wire

/// The descriptors that the VMM inherits, and what they are.
public struct LaunchFiles: Equatable, Sendable {
    public var kernel: Extent
    public var initrd: Extent
    /// A writable disk with an empty ext4 file system.
    public var scratch: Extent?
    /// The socket of the server of the host's files.
    public var fileServer: Int32?
    public var timeline: Int32?

    public init(kernel: Extent, initrd: Extent, scratch: Extent? = nil, fileServer: Int32? = nil, timeline: Int32? = nil) {
        self.kernel = kernel
        self.initrd = initrd
        self.scratch = scratch
        self.fileServer = fileServer
        self.timeline = timeline
    }
}

public struct LaunchPlan: Sendable {
    public var options: RunOptions
    public var process: ContainerProcess
    /// What the image's disk holds; nil for an image without layers.
    public var image: DiskContent?
    public var hostname: Text
    public var files: LaunchFiles
    /// Of the terminal outside.
    public var windowSize = WindowSize(rows: 0, columns: 0)

    /// What the container's processes run under; nil: no filter.
    public var seccomp: SeccompProgram?

    /// The one container of the VM and its first process.
    static let container: UInt32 = 1
    static let firstProcess: UInt32 = 1
    static let inputPort: UInt32 = 1025
    static let outputPort: UInt32 = 1026
    static let errorPort: UInt32 = 1027

    public init(options: RunOptions, process: ContainerProcess, image: DiskContent?, hostname: Text, files: LaunchFiles) {
        self.options = options
        self.process = process
        self.image = image
        self.hostname = hostname
        self.files = files
    }

    /// `launched`: CLOCK_MONOTONIC in nanoseconds when this process was executed.
    public func configuration(launched: UInt64) throws(ContainerError) -> LaunchConfiguration {
        var disks: [Disk] = []
        if let image { disks.append(Disk(image, access: .readOnly, serial: "image", name: "the unpacked image")) }
        var storage = RootStorage.memory(bytes: options.memory / 2)
        if let scratch = files.scratch {
            storage = .disk(index: UInt8(disks.count))
            disks.append(Disk(.extents([scratch]), access: .ephemeral, serial: "scratch", name: "the scratch disk"))
        }
        for index in disks.indices { disks[index].limits = options.diskRates.limits(group: 0) }

        var machine = MachineConfiguration(
            memory: options.memory, cpus: options.cpus, kernel: files.kernel, initrd: files.initrd, disks: disks)
        machine.console = options.logLevel == .debug
        machine.files = files.fileServer

        let frames = try frames(storage: storage)
        let input = options.interactive ? Self.inputPort : 0
        var supervisor = SupervisorConfiguration(
            frames: frames, process: Self.firstProcess, inputPort: input, outputPort: Self.outputPort,
            errorPort: options.terminal ? 0 : Self.errorPort, terminal: options.terminal)
        supervisor.stopSignal = process.stopSignal

        var configuration = LaunchConfiguration(machine: machine, task: .container(supervisor), launched: launched)
        configuration.timeline = files.timeline
        configuration.logLevel = options.logLevel
        return configuration
    }

    private func frames(storage: RootStorage) throws(ContainerError) -> [UInt8] {
        let messages = [
            HostMessage.createContainer(containerSpec(storage: storage)).frame,
            HostMessage.startProcess(try processSpec()).frame,
        ]
        guard messages.allSatisfy({ $0.payload.count <= Frame.payloadLimit }) else { throw .tooLargeRequest }
        return messages.flatMap(\.bytes)
    }

    private func containerSpec(storage: RootStorage) -> ContainerSpec {
        var spec = ContainerSpec(
            container: Self.container, hostname: hostname, root: image == nil ? .empty : .image(disk: 0), storage: storage,
            readOnlyRoot: options.readOnlyRoot)
        spec.mounts = ContainerDefaults.mounts(isPrivileged: options.confinement.isPrivileged) + mounts
        spec.hasTrees = !options.bindMounts.isEmpty
        spec.files = ContainerDefaults.files(hostname: hostname)
        let confinement = options.confinement
        if !confinement.isPrivileged && !confinement.exposesSystemPaths {
            spec.maskedPaths = ContainerDefaults.maskedPaths
            spec.readOnlyPaths = ContainerDefaults.readOnlyPaths
        }
        if !confinement.isPrivileged { spec.deviceProgram = DeviceProgram.compile(DeviceRule.standard) }
        spec.processLimit = confinement.processLimit
        return spec
    }

    /// The user's own. Those further up come first, whatever the order in which they were asked for, as with Docker.
    private var mounts: [MountSpec] {
        func depth(_ mount: MountSpec) -> Int { mount.destination.bytes.split(separator: UInt8(ascii: "/")).count }
        let binds = options.bindMounts.enumerated().map { index, mount in
            MountSpec(
                destination: mount.destination, type: "bind", source: mount.isFile ? .file(UInt32(index)) : .directory(UInt32(index)),
                flags: mount.isReadOnly ? .readOnly : [])
        }
        return (options.temporaryMounts + binds).enumerated().sorted { (depth($0.element), $0.offset) < (depth($1.element), $1.offset) }.map(
            \.element)
    }

    private func processSpec() throws(ContainerError) -> ProcessSpec {
        let streams: ProcessStreams =
            options.terminal
            ? .terminal(port: Self.outputPort, size: windowSize)
            : .pipes(input: options.interactive ? Self.inputPort : 0, output: Self.outputPort, error: Self.errorPort)
        var spec = ProcessSpec(
            container: Self.container, process: Self.firstProcess, arguments: process.arguments, environment: process.environment,
            workingDirectory: process.workingDirectory, streams: streams)
        spec.user = process.user
        do throws(ConfinementError) { spec.capabilities = try options.confinement.capabilities().rawValue } catch { throw .confinement(error) }
        spec.noNewPrivileges = options.confinement.noNewPrivileges
        spec.filter = seccomp?.bytes ?? []
        spec.limits = ContainerDefaults.limits.filter { limit in !options.limits.contains { $0.resource == limit.resource } } + options.limits
        return spec
    }
}
