import AgentProtocol
import Confinement
import Foundation
import ImageFixtures
import Images
import LaunchConfiguration
import LinuxSystem
import OCI
import Testing
import Wire

@testable import ContainerRuntime

@Suite struct LaunchPlanTests {
    private var options = RunOptions(image: "image")
    private let disk = DiskContent.mapped(blocks: 100, runs: Extent(descriptor: 50, offset: 64, length: 32), files: [51, 52])
    private let files = LaunchFiles(
        kernel: Extent(descriptor: 40, offset: 0, length: 400), initrd: Extent(descriptor: 41, offset: 0, length: 410))

    private func configuration(_ files: LaunchFiles) throws -> LaunchConfiguration {
        var image = ImageConfiguration.Process()
        image.command = ["/bin/sh"]
        let process = try ContainerProcess(options, image: image, userEnvironment: [], hostname: "box")
        return try LaunchPlan(options: options, process: process, image: disk, hostname: "box", files: files).configuration(launched: 7)
    }

    private func messages(_ configuration: LaunchConfiguration) throws -> (ContainerSpec, ProcessSpec) {
        var reader = FrameReader()
        reader.append(try #require(configuration.container).frames)
        let first = try #require(try reader.next())
        let second = try #require(try reader.next())
        #expect(try reader.next() == nil)
        guard case .createContainer(let container) = try HostMessage(first), case .startProcess(let process) = try HostMessage(second) else {
            throw ContainerError.noCommand
        }
        return (container, process)
    }

    @Test func theImageIsTheFirstDisk() throws {
        let made = try configuration(files)
        #expect(made.machine.disks.count == 1)
        #expect(made.machine.disks[0].content == disk)
        #expect(made.machine.disks[0].access == .readOnly)
        let (container, _) = try messages(made)
        #expect(container.root == .image(disk: 0))
        #expect(container.storage == .memory(bytes: 256 << 20))
    }

    @Test mutating func aScratchDiskComesSecond() throws {
        var files = files
        files.scratch = Extent(descriptor: 42, offset: 0, length: 1 << 30)
        let made = try configuration(files)
        #expect(made.machine.disks.count == 2)
        #expect(made.machine.disks[1].access == .ephemeral)
        #expect(try messages(made).0.storage == .disk(index: 1))
    }

    @Test mutating func whatTheHostShowsIsMountedFromAbove() throws {
        var files = files
        #expect(try configuration(files).machine.files == nil)
        files.fileServer = 43
        options.bindMounts = [
            BindMount(source: "/x", destination: "/a/b/c", isReadOnly: true, makesSource: true),
            BindMount(source: "/y", destination: "/a", isReadOnly: false, makesSource: true),
        ]
        options.bindMounts[0].isFile = true
        options.temporaryMounts = [MountSpec(destination: "/a/b", type: "tmpfs", source: .name("tmpfs"))]
        let made = try configuration(files)
        #expect(made.machine.files == 43)
        let (container, _) = try messages(made)
        let own = container.mounts.dropFirst(7)
        #expect(own.map(\.destination) == ["/a", "/a/b", "/a/b/c"])
        #expect(own.map(\.source) == [.directory(1), .name("tmpfs"), .file(0)])
        #expect(own.map(\.flags) == [[], [], .readOnly])
        #expect(container.hasTrees)
    }

    @Test mutating func theFirstMountsAreTheSpecificationsDefaults() throws {
        let (container, _) = try messages(try configuration(files))
        #expect(
            container.mounts.map(\.destination)
                == ["/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys", "/sys/fs/cgroup"])
        #expect(container.mounts.map(\.type) == ["proc", "tmpfs", "devpts", "tmpfs", "mqueue", "sysfs", "cgroup2"])
        #expect(container.mounts.filter { $0.flags.contains(.readOnly) }.map(\.destination) == ["/sys", "/sys/fs/cgroup"])
        #expect(container.makesDevices && !container.hasTrees)
        options.confinement.isPrivileged = true
        let (privileged, _) = try messages(try configuration(files))
        #expect(privileged.mounts[1].type == "devtmpfs" && privileged.mounts.allSatisfy { !$0.flags.contains(.readOnly) })
    }

    @Test func theFileServersArgumentsAreUnderstood() {
        let arguments = FileServerArguments(
            socket: 3, filters: 4, lifeline: 5, identity: "fresh", cache: "auto",
            trees: [.init(descriptor: 6, isReadOnly: false), .init(descriptor: 7, isReadOnly: true)])
        #expect(arguments.words.suffix(2) == ["6", "7:ro"])
        #expect(FileServerArguments(arguments.words) == arguments)
        #expect(arguments.descriptors == [3, 4, 5, 6, 7])
        for count in 0..<13 { #expect(FileServerArguments(Array(arguments.words.prefix(count))) == nil) }
        for wrong in ["2", "x", "6:rw", ""] { #expect(FileServerArguments(arguments.words.dropLast() + [wrong]) == nil) }
        #expect(FileServerArguments(arguments.words + [String](repeating: "6", count: 300)) == nil)
    }

    @Test mutating func allDisksShareTheirLimits() throws {
        var files = files
        files.scratch = Extent(descriptor: 42, offset: 0, length: 1 << 30)
        #expect(try configuration(files).machine.disks.allSatisfy { $0.limits == nil })
        options.diskRates.readBytes = 5
        options.diskRates.writeOperations = 200
        let limits = DiskLimits(
            group: 0, reading: ThroughputLimits(bytes: RateLimit(rate: 5, capacity: 1)),
            writing: ThroughputLimits(operations: RateLimit(rate: 200, capacity: 20)))
        #expect(try configuration(files).machine.disks.map(\.limits) == [limits, limits])
    }

    @Test(
        arguments: [(false, false, 0, 1026, 1027), (true, false, 1025, 1026, 1027), (true, true, 1025, 1026, 0), (false, true, 0, 1026, 0)]
            as [(Bool, Bool, UInt32, UInt32, UInt32)])
    mutating func streams(interactive: Bool, terminal: Bool, input: UInt32, output: UInt32, error: UInt32) throws {
        options.interactive = interactive
        options.terminal = terminal
        let made = try configuration(files)
        #expect(try #require(made.container).inputPort == input)
        #expect(try #require(made.container).outputPort == output)
        #expect(try #require(made.container).errorPort == error)
        #expect(try #require(made.container).terminal == terminal)
        let expected: ProcessStreams =
            terminal
            ? .terminal(port: output, size: WindowSize(rows: 0, columns: 0)) : .pipes(input: input, output: output, error: error)
        #expect(try messages(made).1.streams == expected)
    }

    @Test mutating func confinementReachesTheAgent() throws {
        let (container, process) = try messages(try configuration(files))
        #expect(container.deviceProgram == DeviceProgram.compile(DeviceRule.standard) && container.processLimit == 0)
        #expect(container.maskedPaths.contains("/proc/kcore") && container.readOnlyPaths.contains("/proc/sys"))
        #expect(process.capabilities == ProcessSpec.defaultCapabilities && !process.noNewPrivileges && process.filter.isEmpty)

        options.confinement.droppedCapabilities = ["ALL"]
        options.confinement.noNewPrivileges = true
        options.confinement.processLimit = 7
        let (confined, poor) = try messages(try configuration(files))
        #expect(confined.processLimit == 7 && poor.capabilities == 0 && poor.noNewPrivileges)

        options.confinement.isPrivileged = true
        let (free, able) = try messages(try configuration(files))
        #expect(free.deviceProgram.isEmpty && free.maskedPaths.isEmpty && free.readOnlyPaths.isEmpty)
        #expect(able.capabilities == CapabilitySet.all.rawValue)
    }

    @Test mutating func optionsReachTheirPlaces() throws {
        options.cpus = 3
        options.memory = 64 << 20
        options.logLevel = .debug
        options.readOnlyRoot = true
        options.user = "1000"
        options.limits = [ResourceLimit(resource: 7, soft: 1, hard: 2)]
        options.stopSignal = 3
        var files = files
        files.timeline = 9
        let made = try configuration(files)
        #expect(made.machine.cpus == 3)
        #expect(made.machine.memory == 64 << 20)
        #expect(made.machine.kernel == files.kernel)
        #expect(made.machine.initrd == files.initrd)
        #expect(made.machine.console)
        #expect(made.launched == 7)
        #expect(made.timeline == 9)
        #expect(made.logLevel == .debug)
        #expect(try #require(made.container).process == 1)
        #expect(try #require(made.container).stopSignal == 3)
        let (container, process) = try messages(made)
        #expect(container.container == 1 && process.container == 1 && process.process == 1)
        #expect(container.readOnlyRoot)
        #expect(process.user == "1000")
        // Under the defaults for the other resources.
        #expect(process.limits.filter { $0.resource == 7 } == options.limits && process.limits.contains { $0.resource == 6 })
        #expect(process.arguments == ["/bin/sh"])
        #expect(process.capabilities == ProcessSpec.defaultCapabilities)
        #expect(container.maskedPaths.contains("/proc/kcore"))
        #expect(container.readOnlyPaths.contains("/proc/sys"))
    }

    @Test func theHostsFilesAreInjected() throws {
        let (container, _) = try messages(try configuration(files))
        #expect(container.files.map(\.path) == ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"])
        #expect(String(decoding: container.files[0].contents, as: UTF8.self).contains("127.0.0.1\tlocalhost\n"))
        #expect(String(decoding: container.files[0].contents, as: UTF8.self).hasSuffix("\tbox\n"))
        #expect(String(decoding: container.files[1].contents, as: UTF8.self) == "box\n")
    }

    @Test func theConfigurationSurvivesItsWire() throws {
        let made = try configuration(files)
        #expect(try LaunchConfiguration(wireBytes: made.wireBytes) == made)
    }

    @Test mutating func tooMuchForAFrameIsExplained() {
        options.command = [Text](repeating: Text(String(repeating: "x", count: 100_000)), count: 50)
        #expect(throws: ContainerError.tooLargeRequest) { try configuration(files) }
    }
}

extension LaunchConfiguration {
    fileprivate var container: SupervisorConfiguration? { if case .container(let configuration) = task { configuration } else { nil } }
}

@Suite struct ContainerNameTests {
    @Test func aNameIsTakenUntilItsDescriptorCloses() throws {
        let name = Text("test-\(UInt64.random(in: 0...UInt64.max))")
        do {
            let first = try ContainerName.reserve(name)
            #expect(throws: ContainerError.nameInUse(name.string)) { _ = try ContainerName.reserve(name) }
            _ = consume first
        }
        _ = try ContainerName.reserve(name)
    }

    @Test func theLongestNameFits() throws {
        let name = Text(String(repeating: "n", count: ContainerName.lengthLimit))
        _ = try ContainerName.reserve(name)
    }
}

@Suite struct ScratchDiskTests {
    private let directory: TemporaryDirectory
    private static let root = String(#filePath.prefix(while: { _ in true }).split(separator: "/").dropLast(3).joined(separator: "/"))

    init() throws { directory = try TemporaryDirectory() }

    private func run(_ program: String, _ arguments: [String]) throws -> Int32 {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        return process.terminationStatus
    }

    @Test func theTemplateIsASoundFileSystem() throws {
        #expect(try run("/\(Self.root)/scripts/disk-template", [directory.path]) == 0)
        // Nothing but the template is left behind.
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == ["disk.template"])
        let path = directory.path + "/disk.template"
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)).count < 300_000)
        let template = try DiskTemplate(path: path)
        #expect(template.size == 64 << 30)
        #expect(template.records.allSatisfy { $0.offset % 4096 == 0 && $0.bytes.count % 4096 == 0 })
        let disk = try OwnedDescriptor.open(directory.path + "/disk", O_RDWR | O_CREAT, mode: 0o600)
        try disk.truncate(to: template.size)
        for record in template.records { try writeAt(disk.raw, offset: record.offset, record.bytes) }
        #expect(try run("/usr/sbin/e2fsck", ["-f", "-n", directory.path + "/disk"]) == 0)
    }

    @Test func aScratchDiskIsMadeToMeasure() throws {
        let disk = try ScratchDisk.make(size: 64 << 20 | 1, directory: directory.path)
        #expect(try disk.status().size == 64 << 20)
        #expect(try run("/usr/sbin/e2fsck", ["-f", "-n", "/proc/\(getpid())/fd/\(disk.raw)"]) == 0)
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == [])
    }

    @Test func theScriptUsesTheSameOptions() throws {
        let script = try String(contentsOfFile: "/\(Self.root)/scripts/disk-template", encoding: .utf8)
        for option in ScratchDisk.makerOptions { #expect(script.contains(option)) }
    }

    @Test func problemsAreExplained() throws {
        #expect(throws: ContainerError.noScratchSpace(directory: "/nonexistent", SystemError(call: "open", subject: "/nonexistent", errno: ENOENT))) {
            _ = try ScratchDisk.make(size: 64 << 20, directory: "/nonexistent")
        }
        let damaged = try directory.write("damaged", "SWSPARSE then nothing good")
        #expect(throws: ContainerError.damagedTemplate(path: damaged)) {
            _ = try DiskTemplate(path: damaged)
        }
    }

    @Test(
        arguments: [
            [], [1, 2, 3], [0, 0, 0, 0, 0, 0, 0, 1], [0, 16, 0, 0, 0, 0, 0, 0, 1],
            [0, 16, 0, 0, 0, 0, 0, 0, 0xFF, 15, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 9, 9],
            [0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
        ] as [[UInt8]])
    func damagedTemplatesAreRefused(rest: [UInt8]) {
        #expect(DiskTemplate(DiskTemplate.magic + rest) == nil)
    }

    @Test func recordsAreRead() throws {
        let bytes: [UInt8] = [0, 16, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 9, 8]
        let template = try #require(DiskTemplate(DiskTemplate.magic + bytes))
        #expect(template.size == 4096)
        #expect(template.records == [.init(offset: 3, bytes: [9, 8])])
    }
}
