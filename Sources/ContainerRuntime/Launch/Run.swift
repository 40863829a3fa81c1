// `swiftlet run`: opens everything, starts the VMM and attends to it. Nothing but its cgroup is left to clean up: files without names, anonymous memory, abstract sockets.
import AgentProtocol
import CLinux
import Glibc
import Images
import LaunchConfiguration
import LinuxSystem
import OCI
public import Wire

/// What `run` takes from its surroundings.
public struct Surroundings: Sendable {
    public var installation: Installation
    /// NAME=VALUE each.
    public var environment: [Text]
    /// CLOCK_MONOTONIC in nanoseconds when this process was executed.
    public var launched: UInt64

    public init(installation: Installation, environment: [Text], launched: UInt64) {
        self.installation = installation
        self.environment = environment
        self.launched = launched
    }

    func variable(_ name: Text) -> Text? {
        let prefix = name.bytes + [UInt8(ascii: "=")]
        return environment.first { $0.bytes.starts(with: prefix) }.flatMap { Text(bytes: Array($0.bytes.dropFirst(prefix.count))) }
    }

    /// The image store, made where there is none.
    func openStore() throws(ContainerError) -> ContentStore {
        try ContainerRuntime.openStore(environment)
    }

    /// How much all unpacked images together may take on disk, in bytes; nil: half of the file system.
    func diskLimit() throws(ContainerError) -> UInt64? {
        guard let text = variable("SWIFTLET_DISK_LIMIT")?.string, !text.isEmpty else { return nil }
        guard let limit = Quantities.size(text) else { throw .diskLimit(text) }
        return limit
    }

    var scratchDirectory: String {
        let directory = variable("TMPDIR")?.string ?? ""
        return directory.isEmpty ? "/var/tmp" : directory
    }
}

public enum Run {
    /// Runs the container to its end; returns its exit status, which is ours where the VMM failed.
    public static func start(_ options: RunOptions, in surroundings: Surroundings) throws(ContainerError) -> Int32 {
        if options.interactive && options.terminal && isatty(STDIN_FILENO) != 1 { throw .notATerminal }
        // First, so that two starts under one name don't both do the work.
        let name = try reserve(options.name)
        let installation = surroundings.installation
        let kernel = try OpenFile.open(
            "the kernel", options.kernel?.string ?? installation.kernel,
            remedy: options.kernel == nil ? "install Swiftlet again, or give --kernel FILE" : "check --kernel")
        let initrd = try OpenFile.open(
            "the initrd", options.initrd?.string ?? installation.initrd,
            remedy: options.initrd == nil ? "install Swiftlet again, or give --initrd FILE" : "check --initrd")
        var options = options
        let trees = try HostTrees.open(&options.bindMounts)
        let placement = try options.placement()
        // While the kernel makes the machine, the rest is prepared.
        let machine = try VMMProcess(from: installation, in: placement)
        machine.letItBegin()
        let fileServer =
            trees.isEmpty ? nil : try FileServerProcess(trees, for: options.bindMounts, cache: options.cache, from: installation, in: machine.cgroup)

        let store = try surroundings.openStore()
        let image = try load(options, from: store, surroundings)
        let seccomp = try SeccompFilter.program(for: options.confinement, installation)

        let hostname = options.hostname ?? randomHostname()
        let process = try ContainerProcess(
            options, image: image.configuration.process, userEnvironment: try userEnvironment(options, surroundings), hostname: hostname)

        let unpacking = try Unpacking(image, store: try openDisks(store), installation: installation, cgroupParent: placement?.parent)
        let disk = try unpacking.disk(limit: try surroundings.diskLimit())
        let scratch = try makeScratch(options, surroundings)
        let timeline = try openTimeline(options.timeline)
        let files = LaunchFiles(
            kernel: Extent(descriptor: kernel.descriptor.raw, offset: 0, length: kernel.size),
            initrd: Extent(descriptor: initrd.descriptor.raw, offset: 0, length: initrd.size),
            scratch: scratch.map { Extent(descriptor: $0.descriptor.raw, offset: 0, length: $0.size) },
            fileServer: fileServer?.socket,
            timeline: timeline?.descriptor.raw ?? (options.timeline == .summary ? STDERR_FILENO : nil))
        var plan = LaunchPlan(options: options, process: process, image: disk?.content, hostname: hostname, files: files)
        plan.seccomp = seccomp
        if options.terminal { plan.windowSize = currentWindowSize() }
        let configuration = try plan.configuration(launched: surroundings.launched)

        let terminal = options.terminal ? TerminalMode() : nil
        VMMProcess.blockSignals()
        try machine.send(configuration)
        withExtendedLifetime((kernel, initrd, disk?.openFiles, scratch, timeline)) {}
        fileServer?.letGo()
        do throws(SystemError) {
            let status = try machine.attend()
            withExtendedLifetime((name, fileServer)) {}
            // A VMM that was killed could not do it.
            terminal?.restore()
            return status
        } catch { throw .system(what: "the VMM cannot be attended to", error) }
    }

    private static func reserve(_ name: Text?) throws(ContainerError) -> OpenFile? {
        guard let name else { return nil }
        return OpenFile(owning: try ContainerName.reserve(name))
    }

    /// An image that is in no place of this machine is pulled first, unless the user has other wishes.
    private static func load(_ options: RunOptions, from store: ContentStore, _ surroundings: Surroundings) throws(ContainerError) -> Image {
        if options.pull == .always, let name = name(options.image) {
            try RegistryProcess.pull(name, surroundings.installation, environment: surroundings.environment)
        }
        switch try resolve(options.image, in: store) {
        case .found(let image): return image
        case .notStored(let name):
            guard options.pull == .missing else { throw .notStored(name) }
            printError("Unable to find image '\(name.familiar)' locally")
            try RegistryProcess.pull(name, surroundings.installation, environment: surroundings.environment)
        }
        switch try resolve(options.image, in: store) {
        case .found(let image): return image
        case .notStored(let name): throw .notStored(name)
        }
    }

    /// Nil for an image in a place of this machine.
    private static func name(_ text: Text) -> ImageName? {
        if let reference = try? ImageReference(text.bytes), (try? reference.loadLocal()) == nil { return try? ImageName(text.string) }
        return nil
    }

    private static func resolve(_ text: Text, in store: ContentStore) throws(ContainerError) -> ImageResolution {
        do throws(ImageError) {
            return try ImageReference(text.bytes).load { () in store }
        } catch { throw .image(name: text.string, error) }
    }

    private static func openTimeline(_ timeline: RunOptions.Timeline) throws(ContainerError) -> OpenFile? {
        guard case .file(let path) = timeline else { return nil }
        do throws(SystemError) {
            return OpenFile(owning: try OwnedDescriptor.open(path: path.bytes, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644))
        } catch { throw .file(what: "the timeline file", error, remedy: "check --timeline") }
    }

    private static func openDisks(_ store: ContentStore) throws(ContainerError) -> DiskStore {
        do throws(SystemError) { return try DiskStore(of: store) } catch { throw .diskStore(path: store.path + "/disks", error) }
    }

    private static func makeScratch(
        _ options: RunOptions, _ surroundings: Surroundings
    ) throws(ContainerError) -> OpenFile? {
        guard let size = options.storageSize else { return nil }
        let directory = surroundings.scratchDirectory
        let disk = try ScratchDisk.make(size: size, directory: directory)
        do throws(SystemError) {
            let size = try disk.status().size
            return OpenFile(owning: disk, size: size)
        } catch { throw .noScratchSpace(directory: directory, error) }
    }

    private static func userEnvironment(_ options: RunOptions, _ surroundings: Surroundings) throws(ContainerError) -> [Text] {
        var files: [(path: String, bytes: [UInt8])] = []
        for path in options.environmentFiles {
            do throws(SystemError) {
                let file = try OwnedDescriptor.open(path: path.bytes, O_RDONLY)
                files.append((path.string, try readAll(file.raw, limit: EnvironmentFile.sizeLimit + 1)))
            } catch { throw .file(what: "the environment file", error, remedy: "check --env-file") }
            if files.last.map({ $0.bytes.count > EnvironmentFile.sizeLimit }) ?? false { throw .environmentFileTooLarge(path: path.string) }
        }
        return try ContainerProcess.userEnvironment(options, files: files, caller: surroundings.variable)
    }

    /// Twelve hexadecimal digits, as Docker's short container ids.
    private static func randomHostname() -> Text {
        var generator = SystemRandomNumberGenerator()
        let number: UInt64 = generator.next()
        let digits = String(number & 0xFFFF_FFFF_FFFF, radix: 16)
        return Text(String(repeating: "0", count: 12 - digits.utf8.count) + digits)
    }

    private static func currentWindowSize() -> WindowSize {
        [STDOUT_FILENO, STDIN_FILENO, STDERR_FILENO].lazy.compactMap(TerminalMode.size).first ?? WindowSize(rows: 0, columns: 0)
    }
}
