// Unpacking a layer onto a disk: the disk is mounted for the first layer, a child unpacks, the disk is unmounted and complete with the last.
internal import AgentProtocol
internal import CGuest
internal import GuestSystem
internal import Unpacker
internal import Wire

/// A layer that is being unpacked.
final class LayerWork {
    private let layer: LayerSpec
    let worker: Int32
    /// What the child reports.
    let report: OwnedDescriptor
    /// How the child ended, if that is known before its report was read.
    var status: ChildStatus?

    private static var disk: CPath { "/images/disk" }

    private init(_ layer: LayerSpec, worker: Int32, report: consuming OwnedDescriptor) {
        self.layer = layer
        self.worker = worker
        self.report = report
    }

    /// Mounts the disk, unless the layer before this one left it mounted, and starts the child.
    static func start(_ layer: LayerSpec, diskIsMounted: Bool) throws(Failure) -> LayerWork {
        do throws(SystemError) {
            if !diskIsMounted {
                try? FileSystem.makeDirectory(LayerWork.disk, mode: 0o755)
                try RootFileSystem.mountDisk(layer.disk, on: LayerWork.disk)
            }
        } catch { throw Failure(.agent, "the disk for \(name: layer.name.bytes) can't be mounted: \(error)") }
        do throws(SystemError) {
            return try OwnedDescriptor.packetPair().use { (ours, theirs) throws(SystemError) in
                let worker = try Processes.fork()
                if worker == 0 {
                    try? theirs.duplicate(to: 3)
                    Processes.closeDescriptors(from: 4)
                    LayerWork.unpack(layer, report: 3)
                }
                return LayerWork(layer, worker: worker, report: ours)
            }
        } catch { throw Failure(.agent, "the guest can't start a child process: \(error)") }
    }

    /// In the child. Never returns.
    private static func unpack(_ layer: LayerSpec, report: Int32) -> Never {
        do throws(Failure) {
            var device: Int32 = -1
            do throws(SystemError) {
                device = try OwnedDescriptor.open(RootFileSystem.device(layer.device), O_RDONLY | Int32(GUEST_O_DIRECT)).release()
                try FileSystem.changeRoot(LayerWork.disk)
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

    /// The disk stays mounted for the layer that comes next.
    var leavesDiskMounted: Bool { !layer.completesDisk }

    /// After the child's report or end: the failure, or nil when all of the layer is on the disk.
    func finish() -> (kind: FailureKind, text: [UInt8])? {
        let packet = (try? InputOutput.receive(report.raw, atMost: Report.lengthLimit))?.bytes ?? []
        let status = status ?? Processes.wait(worker)
        if let failure = Report.failure(packet) { return failure }
        if status != .exited(0) {
            // SIGKILL comes from nobody but the kernel, short of memory.
            return status == .signalled(9)
                ? (.outOfMemory, ("the guest's memory is too small to unpack the image" as Sentence).bytes)
                : (.agent, ("the guest's unpacker crashed; this is a bug in swiftlet, or a malicious image" as Sentence).bytes)
        }
        if leavesDiskMounted { return nil }
        do throws(SystemError) { try FileSystem.unmount(LayerWork.disk) } catch {
            return (.agent, ("the disk can't be unmounted: \(error)" as Sentence).bytes)
        }
        return nil
    }
}
