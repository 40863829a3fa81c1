// From options, image and open files to the configuration that the VMM gets. Pure: it opens nothing.
public import AgentProtocol
public import Images
public import LaunchConfiguration
import LinuxSystem
import OCI
public import Wire

/// Where the root file system's files are kept.
public enum RootPlan: Equatable, Sendable {
    /// In the guest's memory, at most so many bytes.
    case memory(UInt64)
    /// On a scratch disk of so many bytes; nil: of the template's size.
    case scratchDisk(UInt64?)

    /// In memory where the image is small beside it: unpacked, layers grow about threefold, and programs need room too.
    public init(layersLength: UInt64, memory: UInt64, storageSize: UInt64?) {
        if storageSize == nil && layersLength <= memory / 8 {
            self = .memory(memory / 2)
        } else {
            self = .scratchDisk(storageSize)
        }
    }
}

/// The descriptors that the VMM inherits, and what they are.
public struct LaunchFiles: Equatable, Sendable {
    public var kernel: Extent
    public var initrd: Extent
    /// A writable disk with an empty ext4 file system.
    public var scratch: Extent?
    public var timeline: Int32?

    public init(kernel: Extent, initrd: Extent, scratch: Extent? = nil, timeline: Int32? = nil) {
        self.kernel = kernel
        self.initrd = initrd
        self.scratch = scratch
        self.timeline = timeline
    }
}

public struct LaunchPlan: Sendable {
    public var options: RunOptions
    public var process: ContainerProcess
    public var layers: [ImageLayer]
    public var hostname: Text
    public var files: LaunchFiles
    /// Of the terminal outside.
    public var windowSize = WindowSize(rows: 0, columns: 0)

    /// The one container of the VM and its first process.
    private static let container: UInt32 = 1
    private static let firstProcess: UInt32 = 1
    private static let inputPort: UInt32 = 1025
    private static let outputPort: UInt32 = 1026
    private static let errorPort: UInt32 = 1027
    /// A layer begins at a multiple of this in the layers' disk (Extent.length).
    private static let alignment: UInt64 = 4096

    public init(options: RunOptions, process: ContainerProcess, layers: [ImageLayer], hostname: Text, files: LaunchFiles) {
        self.options = options
        self.process = process
        self.layers = layers
        self.hostname = hostname
        self.files = files
    }

    /// `launched`: CLOCK_MONOTONIC in nanoseconds when this process was executed.
    public func configuration(launched: UInt64) throws(ContainerError) -> LaunchConfiguration {
        var disks: [Disk] = []
        if !layers.isEmpty {
            let extents = layers.map {
                Extent(descriptor: $0.range.file.descriptor.raw, offset: $0.range.offset, length: $0.range.length)
            }
            disks.append(Disk(extents: extents, readOnly: true, ephemeral: false, serial: "layers", name: "the image's layers"))
        }
        var storage = RootStorage.memory(bytes: options.memory / 2)
        if let scratch = files.scratch {
            storage = .disk(index: UInt8(disks.count))
            disks.append(Disk(extents: [scratch], readOnly: false, ephemeral: true, serial: "scratch", name: "the scratch disk"))
        }

        var machine = MachineConfiguration(
            memory: options.memory, cpus: options.cpus, kernel: files.kernel, initrd: files.initrd, disks: disks)
        machine.console = options.logLevel == .debug

        let frames = try frames(storage: storage)
        let input = options.interactive ? Self.inputPort : 0
        var supervisor = SupervisorConfiguration(
            frames: frames, process: Self.firstProcess, inputPort: input, outputPort: Self.outputPort,
            errorPort: options.terminal ? 0 : Self.errorPort, terminal: options.terminal)
        supervisor.stopSignal = process.stopSignal

        var configuration = LaunchConfiguration(machine: machine, supervisor: supervisor, launched: launched)
        configuration.timeline = files.timeline
        configuration.logLevel = options.logLevel
        return configuration
    }

    private func frames(storage: RootStorage) throws(ContainerError) -> [UInt8] {
        let messages = [
            HostMessage.createContainer(containerSpec(storage: storage)).frame,
            HostMessage.startProcess(processSpec()).frame,
        ]
        guard messages.allSatisfy({ $0.payload.count <= Frame.payloadLimit }) else { throw .tooLargeRequest }
        return messages.flatMap(\.bytes)
    }

    private func containerSpec(storage: RootStorage) -> ContainerSpec {
        var spec = ContainerSpec(
            container: Self.container, hostname: hostname, layers: layerSources(), layerDevice: 0, storage: storage,
            readOnlyRoot: options.readOnlyRoot)
        spec.mounts = options.temporaryMounts
        spec.files = ContainerDefaults.files(hostname: hostname)
        spec.maskedPaths = ContainerDefaults.maskedPaths
        spec.readOnlyPaths = ContainerDefaults.readOnlyPaths
        return spec
    }

    private func layerSources() -> [LayerSource] {
        var offset: UInt64 = 0
        return layers.map { layer in
            let compression: LayerCompression =
                switch layer.compression {
                case .none: .none
                case .gzip: .gzip
                case .zstd: .zstd
                }
            // One of the two is enough to know that these are the image's bytes, and hashing costs as much as unpacking (docs/adr/0003).
            let source = LayerSource(
                offset: offset, length: layer.range.length, compression: compression, digest: layer.digest?.bytes ?? [],
                diffID: layer.digest == nil ? layer.diffID.bytes : [])
            offset += (layer.range.length + Self.alignment - 1) / Self.alignment * Self.alignment
            return source
        }
    }

    private func processSpec() -> ProcessSpec {
        let streams: ProcessStreams =
            options.terminal
            ? .terminal(port: Self.outputPort, size: windowSize)
            : .pipes(input: options.interactive ? Self.inputPort : 0, output: Self.outputPort, error: Self.errorPort)
        var spec = ProcessSpec(
            container: Self.container, process: Self.firstProcess, arguments: process.arguments, environment: process.environment,
            workingDirectory: process.workingDirectory, streams: streams)
        spec.user = process.user
        spec.limits = ContainerDefaults.limits.filter { limit in !options.limits.contains { $0.resource == limit.resource } } + options.limits
        return spec
    }
}
