// The machine's virtio devices in their order: disks (vda, vdb, …), vsock, entropy, and, where they are asked for, a console and the host's files.
// Each has 4 KiB of registers, one interrupt line, and a parameter on the kernel's command line that says so.
import AddressSpace
import Glibc
import Jail
import KVM
import LaunchConfiguration
import LinuxSystem
import Machine
import Virtio
import VirtioDevices
import Wire

final class DeviceSet {
    private struct Slot {
        let transport: MMIOTransport
        let address: UInt64
        let line: UInt32
        let interrupt: InterruptEvent
        let service: Service

        var isOnLoop: Bool { if case .eventLoop = service { true } else { false } }
    }

    /// Who serves a device.
    private enum Service {
        case eventLoop
        /// The disks' thread.
        case disk(DiskSlot)
        /// The file systems' thread.
        case files
    }

    private struct DiskSlot {
        /// What the host could not do for it.
        let failure: BlockFailureRecord
        /// Only this machine knows its contents: what the host doesn't write is lost.
        let isLosable: Bool
    }

    private let host: VsockHost
    private let hasConsole: Bool
    private let extraParameters: [UInt8]
    private let disks: [Disk]
    private let end: EndSignal
    private var fileServer: FileServerClient?
    /// The disks' come first, in their order.
    private var slots: [Slot] = []
    /// All transports, for the vCPUs.
    private(set) var registers = Bus()
    /// None where there are neither disks nor files of the host, and before the machine runs.
    private var workers: [DeviceWorker] = []

    init(_ configuration: MachineConfiguration, memory: GuestMemory, kernelLog: KernelLog, end: EndSignal) throws {
        self.end = end
        host = try VsockHost()
        hasConsole = configuration.console
        extraParameters = configuration.commandLine.bytes
        disks = configuration.disks
        let count = configuration.disks.count + (hasConsole ? 3 : 2) + (configuration.files == nil ? 0 : 1)
        guard count <= Layout.virtioInterrupts.count else { throw MachineError.tooManyDevices(count) }

        var limiters = DiskLimiters()
        for disk in configuration.disks {
            let block = try Block(disk, throttle: try limiters.throttle(for: disk))
            let slot = DiskSlot(failure: block.failure, isLosable: disk.access != .readOnly)
            try attach(block, memory, .disk(slot))
        }
        try attach(try Vsock(host: host), memory)
        try attach(Entropy(), memory)
        if hasConsole {
            try attach(Console { bytes in for byte in bytes { kernelLog.receive(byte) } }, memory)
        }
        if let socket = configuration.files {
            let server = FileServerClient(try OwnedDescriptor.duplicate(of: socket))
            // A socket of its own: the other one is the files' thread's.
            fileServer = FileServerClient(try OwnedDescriptor.duplicate(of: socket))
            try attach(FileSystem(server, tag: Self.filesTag, openFiles: Self.openFileLimit), memory, .files)
        }
    }

    /// False where nobody is there to do something about it.
    func reportOutOfMemory() -> Bool {
        guard let fileServer else { return false }
        return (try? fileServer.reportOutOfMemory()) != nil
    }

    /// By which the guest mounts the host's trees.
    private static let filesTag = "files"
    /// How many files of the host a guest may have open, where the host lets the VMM have as many.
    static let openFileLimit = 65536

    /// Gives the device the next address and line.
    private func attach(_ device: sending any VirtioDevice, _ memory: GuestMemory, _ service: Service = .eventLoop) throws {
        let index = slots.count
        let address = Layout.virtioBase + UInt64(index) * Layout.virtioSize
        let line = Layout.virtioInterrupts.lowerBound + UInt32(index)
        let interrupt = try InterruptEvent()
        let end = end
        let transport = try MMIOTransport(device: device, memory: memory, hostFailed: { end.report(.device($0)) }) { interrupt.event.signal() }
        try registers.attach(transport, start: address, count: MMIOTransport.regionSize)
        slots.append(Slot(transport: transport, address: address, line: line, interrupt: interrupt, service: service))
    }

    /// Connects the devices' interrupts and queues to KVM.
    func connect(to machine: VirtualMachine) throws(KVMError) {
        for slot in slots {
            try machine.connectInterrupt(slot.interrupt.event, line: slot.line)
            for (queue, event) in slot.transport.queueEvents.enumerated() {
                try machine.connectNotification(
                    event.raw, address: slot.address + MMIOTransport.queueNotifyOffset, value: UInt32(queue))
            }
        }
    }

    /// An eventfd that a closure can share.
    private final class InterruptEvent: Sendable {
        let event: EventFD
        init() throws(SystemError) { event = try EventFD() }
    }

    // MARK: Kernel

    /// The kernel's parameters: kernel-config/README.md says what each buys. Parameters of the caller come last and win.
    func commandLine(_ level: LogLevel) -> [UInt8] {
        // Handled in order: `quiet` must come before the early console, or it prints the first lines of every boot.
        var words = level == .debug ? ["loglevel=7"] : ["quiet", "loglevel=3"]
        words += ["noreplace-smp", "tsc=reliable", "no-kvmapf", "dummy.numdummies=0", "virtio_mmio.edges=1", "panic=-1", "reboot=k"]
        words += hasConsole ? ["earlyprintk=serial,0x3f8,115200", "console=hvc0"] : ["earlyprintk=serial,0x3f8,115200,keep"]
        for slot in slots {
            words.append("virtio_mmio.device=4K@0x\(String(slot.address, radix: 16)):\(slot.line)")
        }
        let own = Array(words.joined(separator: " ").utf8)
        return extraParameters.isEmpty ? own : own + [0x20] + extraParameters
    }

    // MARK: Host side

    func expose(port: UInt32, socket: consuming OwnedDescriptor) { host.expose(port: port, socket: socket) }

    func withdraw(port: UInt32) { host.withdraw(port: port) }

    /// Serves what the guest left in its queues, gives readers a second to take it, and resets devices, which closes the streams' host ends. Disks and file systems are left
    /// alone: who waits for the end doesn't wait for them.
    func disconnect() {
        stopWorkers()
        let slots = slots.filter { $0.isOnLoop }
        for slot in slots { slot.transport.serveAll() }
        let deadline = monotonicNanoseconds() + 1_000_000_000
        while hasWaitingBytes, monotonicNanoseconds() < deadline {
            usleep(1000)
            for slot in slots { slot.transport.hostReady() }
        }
        for slot in slots { slot.transport.reset() }
    }

    /// Has the devices' own threads begin nothing more.
    func stopWorkers() { for worker in workers { worker.stop() } }

    /// Whether sockets haven't taken all that the guest has sent.
    private var hasWaitingBytes: Bool {
        slots.contains { slot in slot.isOnLoop && slot.transport.withDevice { ($0 as? Vsock)?.waitingBytes ?? 0 } > 0 }
    }

    /// Has `loop` serve the devices but those that work on the host's files, which get threads of their own that `start` makes. A disk that can't be written ends the machine: a guest
    /// that goes on with lost files only finds out much later, if at all.
    func watch(on loop: EventLoop, starting start: (DeviceWorker) throws(SystemError) -> Void) throws(SystemError) {
        let end = end
        var (disks, files): ([DeviceWorker.Device], [DeviceWorker.Device]) = ([], [])
        for slot in slots {
            let transport = slot.transport
            switch slot.service {
            case .disk(let disk):
                let (failure, isLosable) = (disk.failure, disk.isLosable)
                disks.append(DeviceWorker.Device(transport: transport) { if isLosable, failure.first != nil { end.report(.lostDisk) } })
            case .files: files.append(DeviceWorker.Device(transport: transport))
            case .eventLoop:
                for (queue, event) in transport.queueEvents.enumerated() {
                    try loop.add(event.raw, .readable) { _ in transport.notify(queue: queue) }
                }
                if let descriptor = transport.pollDescriptor {
                    try loop.add(descriptor, .readable) { _ in transport.hostReady() }
                }
            }
        }
        for (devices, kind) in [(disks, ThreadKind.block), (files, .files)] where !devices.isEmpty {
            let worker = try DeviceWorker(devices, as: kind, end: end)
            try start(worker)
            workers.append(worker)
        }
    }

    /// Ends a stage of disk `number` and returns its map; nil where that can't be described or the host failed.
    func seal(disk number: Int) -> [DiskRun]? {
        guard number < disks.count, let extents = slots[number].transport.withDevice({ ($0 as? Block)?.seal(limit: DiskMap.runLimit) }) else {
            return nil
        }
        return disks[number].runs(extents)
    }

    /// The first thing that a disk could not do on the host, as an addition to an error's sentence; empty if all went well.
    var hostFailure: String {
        // Not by entering the devices: one may be waiting for its disk.
        for slot in slots {
            if case .disk(let disk) = slot.service, let failure = disk.failure.first { return "; on the host: \(failure)" }
        }
        return ""
    }
}
