// Unpacking a layer onto a disk: the disk is mounted for the first layer, a child unpacks, the disk is unmounted and complete with the last.
internal import AgentProtocol
internal import CGuest
internal import FirstProcess
internal import GuestSystem
internal import Unpacker
internal import Wire

enum LayerWork {
    private static var disk: CPath { "/disk" }

    /// Mounts the disk, unless the layer before this one left it mounted; unpacks; unmounts it, unless another layer follows.
    static func unpack(_ layer: LayerSpec, diskIsMounted: Bool) throws(Failure) {
        if !diskIsMounted {
            do { try MachineFiles.mountDisk(layer.disk, on: disk) } catch {
                throw Failure(.agent, "the disk for \(name: layer.name.bytes) can't be mounted: \(error)")
            }
        }
        try wait(for: try start(layer))
        guard layer.completesDisk else { return }
        do { try FileSystem.unmount(disk) } catch { throw Failure(.agent, "the disk can't be unmounted: \(error)") }
    }

    private struct Worker: ~Copyable {
        let process: Int32
        /// What the child reports.
        let report: OwnedDescriptor
    }

    private static func start(_ layer: LayerSpec) throws(Failure) -> Worker {
        do throws(SystemError) {
            return try OwnedDescriptor.packetPair().use { (ours, theirs) throws(SystemError) in
                let process = try Processes.fork()
                if process == 0 {
                    try? theirs.duplicate(to: 3)
                    Processes.closeDescriptors(from: 4)
                    work(layer, report: 3)
                }
                return Worker(process: process, report: ours)
            }
        } catch { throw Failure(.agent, "the guest can't start a child process: \(error)") }
    }

    /// In the child. Never returns.
    private static func work(_ layer: LayerSpec, report: Int32) -> Never {
        do throws(Failure) {
            var device: Int32 = -1
            do throws(SystemError) {
                device = try OwnedDescriptor.open(MachineFiles.device(layer.device), O_RDONLY | Int32(GUEST_O_DIRECT)).release()
                try FileSystem.changeRoot(disk)
                try FileSystem.changeDirectory("/")
            } catch { throw Failure(.agent, "the device of \(name: layer.name.bytes) can't be opened: \(error)") }
            umask(0)
            try Unpacker.unpack(layer, from: device)
        } catch {
            Report.send(describe(error), on: report)
            Processes.exit(1)
        }
        Processes.exit(0)
    }

    private static func describe(_ failure: Failure) -> Failure {
        guard failure.kind == .storageFull else { return failure }
        return Failure(.storageFull, "\(failure.text): unpacked, the image is larger than its disk, or has too many files for it")
    }

    /// Returns when all of the layer is on the disk.
    private static func wait(for worker: consuming Worker) throws(Failure) {
        // The child's report, or the end of it.
        let packet = (try? InputOutput.receive(worker.report.raw, atMost: Report.lengthLimit))?.bytes ?? []
        let status = Processes.wait(worker.process)
        if let failure = Report.failure(packet) { throw failure }
        if status == .exited(0) { return }
        // SIGKILL comes from nobody but the kernel, short of memory.
        throw status == .signalled(9)
            ? Failure(.outOfMemory, "the guest's memory is too small to unpack the image")
            : Failure(.agent, "the guest's unpacker crashed; this is a bug in swiftlet, or a malicious image")
    }
}
