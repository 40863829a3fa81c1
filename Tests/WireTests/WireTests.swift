// The binary format: round trips, and refusal of every truncation.
import AgentProtocol
import LaunchConfiguration
import Testing
import Wire

private let process: ProcessSpec = {
    var spec = ProcessSpec(
        container: 1, process: 2, arguments: ["/bin/sh", "-c", "exit 3"], environment: ["PATH=/bin"], workingDirectory: "/",
        streams: .terminal(port: 1030, size: WindowSize(rows: 24, columns: 80)))
    spec.user = "daemon:1"
    spec.additionalGroups = [5, 6]
    spec.waits = true
    spec.outOfMemoryAdjustment = -7
    spec.hooks = [HookSpec(path: "/bin/hook", arguments: ["hook", "a"], environment: ["A=b"], timeout: 3)]
    spec.state = Array("{}".utf8)
    spec.limits = [ResourceLimit(resource: 7, soft: 1024, hard: 4096)]
    return spec
}()

private let container: ContainerSpec = {
    var spec = ContainerSpec(
        container: 1, hostname: "host", root: .image(disk: 0), storage: .disk(index: 1), readOnlyRoot: true)
    spec.mounts = [
        MountSpec(destination: "/tmp", type: "tmpfs", source: .name("tmpfs"), flags: .noSetID, data: "size=64k"),
        MountSpec(destination: "/data", type: "bind", source: .directory(0)),
        MountSpec(destination: "/file", type: "bind", source: .file(1), flags: .readOnly),
    ]
    spec.mounts[1].propagations = [.slave, [.shared, .recursive]]
    spec.mounts[0].copiesUp = true
    spec.rootPropagation = .unbindable
    spec.hasTrees = true
    spec.domainName = "example.org"
    spec.devices = [DeviceNode(path: "/dev/x", mode: 0o020640, major: 10, minor: 229, user: 1, group: 2)]
    spec.parameters = [InjectedFile(path: "/proc/sys/kernel/msgmax", mode: 0, contents: [0x31])]
    spec.files = [InjectedFile(path: "/etc/hosts", mode: 0o644, contents: Array("127.0.0.1 localhost\n".utf8))]
    spec.maskedPaths = ["/proc/kcore"]
    return spec
}()

private let statistics: ContainerStatistics = {
    var statistics = ContainerStatistics()
    statistics.memory = 1 << 40
    statistics.userTime = 7
    statistics.outOfMemoryKills = 2
    return statistics
}()

private let layer = LayerSpec(
    name: "layer 1 of 2", device: 1, range: (4096, 17), compression: .zstd, diffID: Array(repeating: 7, count: 32),
    disk: (device: 0, isEmpty: true, isComplete: false))

private let hostMessages: [HostMessage] = [
    .unpackLayer(layer),
    .createContainer(container), .startProcess(process), .signal(process: 2, number: 15), .execute(process: 2),
    .limit(container: 1, ContainerLimits(memory: 1 << 30, processes: 7)), .examine(container: 1),
    .resize(process: 2, size: WindowSize(rows: 50, columns: 132)), .shutDown,
]

private let agentMessages: [AgentMessage] = [
    .hello(version: 1), .layerUnpacked, .containerReady(container: 1), .processReady(process: 2), .processStarted(process: 2, pid: 77),
    .outOfMemory(container: 1), .containerLimited(container: 1, problem: "no"), .statistics(container: 1, statistics),
    .processExited(process: 2, status: .signalled(9)), .failed(process: 2, kind: .notFound, text: "no such command"),
]

@Test(arguments: hostMessages) func hostMessageSurvivesTheWire(message: HostMessage) throws {
    #expect(try HostMessage(message.frame) == message)
}

@Test(arguments: agentMessages) func agentMessageSurvivesTheWire(message: AgentMessage) throws {
    #expect(try AgentMessage(message.frame) == message)
}

@Test(arguments: hostMessages) func everyTruncatedPayloadIsRefused(message: HostMessage) {
    let frame = message.frame
    for length in 0..<frame.payload.count {
        #expect(throws: WireError.self) { try HostMessage(Frame(kind: frame.kind, payload: Array(frame.payload[..<length]))) }
    }
    #expect(throws: WireError.trailingBytes) { try HostMessage(Frame(kind: frame.kind, payload: frame.payload + [0])) }
}

@Test func framesAreFoundInAStreamOfSingleBytes() throws {
    var reader = FrameReader()
    var found: [AgentMessage] = []
    for byte in agentMessages.flatMap(\.frame.bytes) {
        reader.append([byte])
        while let frame = try reader.next() { found.append(try AgentMessage(frame)) }
    }
    #expect(found == agentMessages)
}

@Test func aFrameLongerThanTheLimitIsRefusedFromItsHeader() {
    var reader = FrameReader()
    reader.append([0xFF, 0xFF, 0xFF, 0xFF, 1, 0, 0, 0])
    #expect(throws: WireError.tooLong) { try reader.next() }
}

@Test func aListThatPromisesMoreThanIsThereIsRefusedBeforeAllocation() {
    var decoder = WireDecoder([0xFF, 0xFF, 0, 0, 1])
    #expect(throws: WireError.truncated) { try decoder.list(of: Text.self, atMost: 1 << 20) }
}

@Test func textsWithNULAreRefused() {
    #expect(Text(bytes: [65, 0, 66]) == nil)
    #expect(throws: WireError.embeddedNUL) { try Text(wireBytes: [2, 0, 0, 0, 65, 0]) }
}

private let machine: MachineConfiguration = {
    let extent = Extent(descriptor: 5, offset: 512, length: 1 << 20)
    var disks = [
        Disk(.extents([extent]), access: .readOnly, serial: "layers", name: "a.tar"),
        Disk(.mapped(blocks: 77, runs: extent, files: [6, 7]), access: .copyOnWrite([8, 9], limit: 1 << 40), serial: "image", name: "b"),
        Disk(.extents([extent]), access: .ephemeral, serial: "scratch", name: "c"),
    ]
    disks[2].limits = DiskLimits(
        group: 3, reading: ThroughputLimits(bytes: RateLimit(rate: 10, capacity: 1, burst: 7)),
        writing: ThroughputLimits(operations: RateLimit(rate: 1 << 40, capacity: 2)))
    var machine = MachineConfiguration(
        memory: 512 << 20, cpus: 2, kernel: Extent(descriptor: 3, offset: 0, length: 99), initrd: nil, disks: disks)
    machine.commandLine = "quiet"
    machine.files = 10
    return machine
}()

private let tasks: [MachineTask] = [
    .container(
        SupervisorConfiguration(
            frames: hostMessages.flatMap(\.frame.bytes), process: 2, inputPort: 0, outputPort: 1025, errorPort: 1026, terminal: false)),
    .unpacking(UnpackingConfiguration(steps: [.init(frame: [1, 2], map: 5), .init(frame: [], map: nil)])),
]

@Test(arguments: tasks) func launchConfigurationSurvivesTheWire(task: MachineTask) throws {
    var configuration = LaunchConfiguration(machine: machine, task: task, launched: 12345)
    configuration.timeline = 9
    #expect(try LaunchConfiguration(wireBytes: configuration.wireBytes) == configuration)
}

@Test(arguments: tasks) func descriptorsAreCountedOnTheWay(task: MachineTask) throws {
    var configuration = LaunchConfiguration(machine: machine, task: task, launched: 12345)
    configuration.timeline = 2
    let (counting, descriptors) = configuration.countingDescriptors
    // Each once, in the order of its first mention; standard error is everybody's.
    #expect(descriptors == [3, 5, 6, 7, 8, 9, 10])
    #expect(counting.machine.kernel.descriptor == 3 && counting.machine.disks.flatMap(\.descriptors) == [4, 4, 5, 6, 7, 8, 4])
    #expect(counting.timeline == 2 && counting.machine.files == 9)
    var arrived = counting
    try arrived.resolveDescriptors(descriptors.map { $0 + 100 })
    #expect(arrived.machine.disks.flatMap(\.descriptors) == [105, 105, 106, 107, 108, 109, 105])
    arrived = counting
    try arrived.resolveDescriptors(descriptors)
    #expect(arrived == configuration)
    // One that nothing arrived for.
    arrived = counting
    #expect(throws: WireError.unknownValue) { try arrived.resolveDescriptors(Array(descriptors.dropLast())) }
    arrived = configuration
    arrived.machine.kernel.descriptor = -1
    #expect(throws: WireError.unknownValue) { try arrived.resolveDescriptors(descriptors) }
}

@Test(arguments: tasks) func everyTruncatedLaunchConfigurationIsRefused(task: MachineTask) {
    let bytes = LaunchConfiguration(machine: machine, task: task, launched: 12345).wireBytes
    for length in 0..<bytes.count { #expect(throws: WireError.self) { try LaunchConfiguration(wireBytes: Array(bytes[..<length])) } }
}

// MARK: Disk maps

private let runs = [DiskRun(block: 0, count: 2, file: 1, fileBlock: 5), DiskRun(block: 9, count: 1, file: 0, fileBlock: 0)]

@Test func diskMapsAreReadAsTheyWereWritten() {
    #expect(DiskMap.encode(runs).count == 32)
    #expect(DiskMap.decode(DiskMap.encode(runs), blocks: 10, fileBlocks: [1, 7]) == runs)
    #expect(DiskMap.decode([], blocks: 1, fileBlocks: []) == [])
}

@Test(
    arguments: [
        ([DiskRun(block: 9, count: 2, file: 0, fileBlock: 0)], "leaves the disk"), ([DiskRun(block: 0, count: 0, file: 0, fileBlock: 0)], "is empty"),
        ([DiskRun(block: 0, count: 1, file: 2, fileBlock: 0)], "is in no file"),
        ([DiskRun(block: 0, count: 2, file: 0, fileBlock: 6)], "leaves its file"),
        ([DiskRun(block: .max, count: .max, file: 0, fileBlock: .max)], "wraps"), (Array(runs.reversed()), "is out of order"),
        ([DiskRun(block: 0, count: 2, file: 0, fileBlock: 0), DiskRun(block: 1, count: 1, file: 0, fileBlock: 0)], "overlaps"),
    ])
func aRunThatLiesIsRefused(runs: [DiskRun], how: String) {
    #expect(DiskMap.decode(DiskMap.encode(runs), blocks: 10, fileBlocks: [7, 7]) == nil)
}

@Test func aCutMapIsRefused() {
    #expect(DiskMap.decode(Array(DiskMap.encode(runs).dropLast()), blocks: 10, fileBlocks: [7, 7]) == nil)
}

@Test(arguments: [
    ControlRequest.start, .signal(15), .stream, .execute, .resize(rows: 24, columns: 80), .limit(memory: 1 << 40, processes: 9), .examine,
])
func controlRequestSurvivesTheWire(request: ControlRequest) throws {
    let bytes = request.wireBytes
    #expect(try ControlRequest(wireBytes: bytes) == request && bytes.count <= ControlRequest.sizeLimit)
    for length in bytes.indices { #expect(throws: WireError.self) { try ControlRequest(wireBytes: Array(bytes[..<length])) } }
    #expect(throws: WireError.unknownValue) { try ControlRequest(wireBytes: [2, 65]) }
}

@Test(arguments: [ControlReply.done, .failed("no"), .exited(3), .statistics([1, 2]), ControlReply(failure: String(repeating: "x", count: 100_000))])
func controlReplySurvivesTheWire(reply: ControlReply) throws {
    let bytes = reply.wireBytes
    #expect(try ControlReply(wireBytes: bytes) == reply && bytes.count <= ControlReply.sizeLimit)
}
