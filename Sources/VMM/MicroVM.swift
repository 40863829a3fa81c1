// One microVM, from configuration to its end. `init` and `start` read as a recipe; the steps follow below in the same order.
import AddressSpace
import CLinux
public import Jail
import KVM
public import LaunchConfiguration
public import LinuxSystem
import Machine

/// A machine that KVM is creating. The host's kernel waits while it does, so this begins before anything else is known, and what can be done without the
/// machine is done meanwhile.
public final class MachineOpening {
    private var kvm: KVM?
    fileprivate let creation: MachineCreation

    /// `kvm`: an open /dev/kvm, which becomes this value's.
    public init(kvm descriptor: Int32) throws {
        let kvm = try KVM(owning: OwnedDescriptor(owning: descriptor))
        try kvm.requireCapabilities()
        creation = try kvm.beginVirtualMachine()
        creation.letTheKernelBegin()
        self.kvm = consume kvm
    }

    /// What the guest's CPUs look like, on this host.
    fileprivate func policy(cpus: Int) throws(KVMError) -> CPUIDPolicy {
        guard let host = try kvm?.supportedCPUID() else { preconditionFailure("the machine is complete") }
        return CPUIDPolicy(host: host, cpus: cpus, hasDeadlineTimer: kvm?.value(of: .tscDeadlineTimer) ?? 0 != 0)
    }

    /// /dev/kvm is closed: whoever took this process over could make machines of its own.
    fileprivate func close() { kvm = nil }
}

public final class MicroVM {
    public let eventLoop: EventLoop
    private let timeline: Timeline
    private let kernelLog: KernelLog
    private let end: EndSignal
    private let memory: GuestMemory
    private let devices: DeviceSet
    private let entry: GuestAddress
    private let configuration: MachineConfiguration
    private let filters: FilterSet
    private let opening: MachineOpening
    private let policy: CPUIDPolicy
    /// Since `start`.
    private var machine: VirtualMachine?

    /// Builds what KVM isn't needed for: memory with the system in it, and devices.
    public init(
        _ configuration: MachineConfiguration, in opening: MachineOpening, filters: FilterSet, timeline: Timeline, logLevel: LogLevel
    ) throws {
        try MicroVM.check(configuration)
        self.filters = filters
        self.opening = opening
        self.configuration = configuration
        self.timeline = timeline
        kernelLog = KernelLog(echo: logLevel == .debug)
        eventLoop = try EventLoop()
        end = try EndSignal()

        memory = try MicroVM.allocate(configuration.memory)
        let system = try MicroVM.loadSystem(configuration, into: memory)
        devices = try DeviceSet(configuration, memory: memory, kernelLog: kernelLog, end: end)
        try system.zeroPage(commandLine: devices.commandLine(logLevel)).write(to: memory)
        policy = try opening.policy(cpus: Int(configuration.cpus))
        entry = system.kernel.entry
        timeline.mark(.memoryMapped)
    }

    // MARK: Steps

    private static func check(_ configuration: MachineConfiguration) throws {
        guard configuration.memory.isMultiple(of: 2 << 20), (32 << 20...1 << 40).contains(configuration.memory) else {
            throw VMMError.memorySize(configuration.memory)
        }
        guard (1...64).contains(configuration.cpus) else { throw MachineError.tooManyCPUs(Int(configuration.cpus)) }
    }

    private static func allocate(_ size: UInt64) throws(VMMError) -> GuestMemory {
        do throws(SystemError) { return try GuestMemory(size: size) } catch { throw .memoryRefused(size, .system(error)) }
    }

    private func connect(_ machine: VirtualMachine) throws {
        try machine.setTSSAddress(Layout.tss)
        try machine.createInterruptController()
        try attachMemory(to: machine)
        try devices.connect(to: machine)
    }

    private func attachMemory(to machine: VirtualMachine) throws(VMMError) {
        for (slot, region) in memory.regions.enumerated() {
            do throws(KVMError) {
                try machine.setMemory(
                    slot: UInt32(slot), guestAddress: region.start.value, size: region.count, hostAddress: region.hostAddress)
            } catch { throw .memoryRefused(memory.size, error) }
        }
    }

    /// What is in the guest's memory before it starts.
    private struct LoadedSystem {
        let kernel: LoadedKernel
        let initrd: (address: GuestAddress, size: UInt64)?
        let seed: [UInt8]

        func zeroPage(commandLine: [UInt8]) -> ZeroPage {
            var page = ZeroPage(kernel: kernel, commandLine: commandLine, seed: seed)
            page.initrd = initrd
            return page
        }
    }

    /// Kernel, initrd, and the tables from which the kernel learns about its machine; all but the zero page.
    private static func loadSystem(_ configuration: MachineConfiguration, into memory: GuestMemory) throws -> LoadedSystem {
        let kernel = try LoadedKernel(FileRange(configuration.kernel), into: memory)
        let initrd = try configuration.initrd.map { try Initrd.load(FileRange($0), above: kernel.end, into: memory) }
        try MultiprocessorTable.write(cpus: Int(configuration.cpus), to: memory)
        try BootState.writeTables(to: memory)
        return LoadedSystem(kernel: kernel, initrd: initrd, seed: try randomBytes(32))
    }

    private func createVCPUs(_ machine: VirtualMachine) throws(KVMError) -> [VCPU] {
        var vcpus: [VCPU] = []
        for id in 0..<UInt32(configuration.cpus) {
            let vcpu = try machine.createVCPU(id: id)
            try vcpu.setCPUID(policy.table(for: id))
            try vcpu.setMSRs(ModelSpecificRegisters.boot)
            if let control = policy.extendedControl { try vcpu.setExtendedControl(control) }
            vcpus.append(vcpu)
        }
        return vcpus
    }

    // MARK: Connections

    /// The first connection of the guest to `port` on the host gets `socket`, a connected non-blocking Unix stream socket.
    public func expose(port: UInt32, socket: borrowing OwnedDescriptor) throws(SystemError) {
        devices.expose(port: port, socket: try socket.duplicate())
    }

    /// The same for one that somebody else may hold, too.
    public func expose(port: UInt32, socket: SharedDescriptor) throws(SystemError) {
        devices.expose(port: port, socket: try OwnedDescriptor.duplicate(of: socket.raw))
    }

    /// Takes back an exposed socket that the guest hasn't connected to.
    public func withdraw(port: UInt32) { devices.withdraw(port: port) }

    /// Ends every stream between guest and host, so that their readers see the end of what was sent.
    public func disconnectStreams() { devices.disconnect() }

    // MARK: Running

    /// Completes the machine, starts its threads and closes the jail. All other threads must be there by now, all files open, and signals blocked that the process wants to
    /// see as events. `outputs`: where the process writes to besides disks; `connections`: how many sockets it may get later. What can fail for a reason the user can change has failed by the end, but for a host that the
    /// probe rejects: that ends `run`.
    public func start(outputs: [Int32], connections: UInt64 = 0) throws {
        try eventLoop.add(end.descriptor, .readable) { [unowned self] _ in eventLoop.stop() }
        let gate = try Gate()
        try devices.watch(on: eventLoop) { (worker) throws(SystemError) in try worker.start(behind: gate, filters) }

        // As late as can be: until here the kernel's wait costs nothing.
        let machine = try opening.creation.wait()
        self.machine = machine
        try connect(machine)
        timeline.mark(.kvmReady)

        let vcpus = try createVCPUs(machine)
        opening.close()
        let (ports, registers) = try buses()
        for vcpu in vcpus {
            let thread = VCPUThread(vcpu: vcpu, memory: memory, ports: ports, registers: registers, timeline: timeline, end: end)
            try thread.start(at: vcpu.id == 0 ? entry : nil, behind: gate, filters)
        }
        try Jail.lock(try Jail.Allowance(for: configuration, outputs: outputs, connections: connections), filters)
        gate.open()
    }

    /// Serves devices and `eventLoop`'s other descriptors until its `stop` is called (nil) or the machine ends by itself.
    public func run() throws -> MachineEnd? {
        defer { devices.stopWorkers() }
        try eventLoop.run()
        return end.reason
    }

    private func buses() throws -> (ports: Bus, registers: Bus) {
        var ports = Bus()
        let log = kernelLog
        let end = end
        let timeline = timeline
        try ports.attach(Serial { log.receive($0) }, start: Serial.basePort, count: Serial.portCount)
        try ports.attach(
            KeyboardController { end.report(.reset) }, start: KeyboardController.basePort, count: KeyboardController.portCount)
        try ports.attach(TimelinePort { timeline.markGuest($0) }, start: TimelinePort.basePort, count: TimelinePort.portCount)
        return (ports, devices.registers)
    }

    /// Ends a stage of a disk whose changes are kept apart, and returns the disk's map (`DiskMap`): what the guest writes from now on is the next stage's.
    /// Nil where the host failed to write it, or where it is too scattered to be described.
    public func seal(disk number: Int) -> [DiskRun]? { devices.seal(disk: number) }

    // MARK: Ends

    /// Has the host's kernel end this process for want of memory, as its cgroup counts it and engines look for it (docs/adr/0016): the guest's memory is the container's limit.
    /// Returns where there is no such cgroup.
    public func dieOutOfMemory() {
        guard devices.reportOutOfMemory() else { return }
        usleep(3_000_000)
    }

    /// One sentence (and, for faults, the details) that says why the machine ended by itself.
    public func explain(_ reason: MachineEnd?) -> String {
        switch reason {
        case .fault(let report): return report.description
        case .unsuitableHost(let why): return "\(VMMError.unsuitableHost(why))"
        case .kvm(let error): return "\(error)"
        case .lostDisk: return "the container's files can't be kept" + devices.hostFailure + ": set TMPDIR to a directory with space"
        case .device(let error): return "the machine's devices can't be served: \(error)"
        case .worker(let error): return "the host's files can't be served: \(error)"
        case .reset, nil:
            if let panic = kernelLog.panic {
                return "the guest's kernel gave up: \(panic)" + devices.hostFailure
            }
            let lines = kernelLog.lastLines.suffix(8)
            let words = lines.isEmpty ? "" : "; its last words:\n  " + lines.joined(separator: "\n  ")
            return "the guest reset its machine before the container ended" + devices.hostFailure + words
        }
    }

    /// What a device could not do on the host (a full disk, for one); empty if all went well. Explains failures that the guest sees as I/O errors.
    public var hostFailure: String { devices.hostFailure }
}

extension FileRange {
    init(_ extent: Extent) { self.init(descriptor: extent.descriptor, offset: extent.offset, length: extent.length) }
}

private func randomBytes(_ count: Int) throws(SystemError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    // SAFETY: getrandom writes at most `count` bytes into the array; up to 256 come at once.
    let got = try systemCall("getrandom") { unsafe bytes.withUnsafeMutableBytes { unsafe getrandom($0.baseAddress, $0.count, 0) } }
    return got == count ? bytes : Array(bytes[..<got])
}
