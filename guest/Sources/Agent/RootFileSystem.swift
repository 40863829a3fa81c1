// A container's root file system: its storage, and the child that unpacks into it.
internal import AgentProtocol
internal import CGuest
internal import GuestSystem
internal import Unpacker
internal import Wire

enum RootFileSystem {
    /// Moves the agent from the initial ramfs, which pivot_root(2) refuses to leave, to a tmpfs; and mounts what the agent itself needs.
    static func prepareMachine() throws(Failure) {
        do throws(SystemError) {
            try FileSystem.makeDirectory("/agent", mode: 0o755)
            try FileSystem.mount("agent", on: "/agent", type: "tmpfs", data: "mode=755")
            try FileSystem.changeDirectory("/agent")
            try FileSystem.mount(".", on: "/", type: "", flags: UInt(MS_MOVE))
            try FileSystem.changeRoot(".")
            try FileSystem.makeDirectory("/containers", mode: 0o755)
            try FileSystem.makeDirectory("/dev", mode: 0o755)
            try FileSystem.mount("devtmpfs", on: "/dev", type: "devtmpfs")
        } catch { throw Failure(.agent, "the guest's own file systems can't be mounted: \(error)") }
    }

    /// Mounts the container's storage at `Container.root`.
    static func mount(_ spec: ContainerSpec) throws(Failure) {
        let root = Container.root(spec.container)
        do throws(SystemError) {
            try FileSystem.makeDirectory(root, mode: 0o755)
            switch spec.storage {
            case .memory(let bytes):
                // tmpfs counts files apart from bytes, by default for half of the memory.
                let data: CPath = "mode=755,size=\(Int(clamping: bytes)),nr_inodes=\(Int(clamping: max(bytes / 2048, 1024)))"
                try FileSystem.mount("root", on: root, type: "tmpfs", data: data)
            case .disk(let index):
                // The disk dies with the machine: nothing is worth a journal's or a barrier's wait.
                try FileSystem.mount(device(index), on: root, type: "ext4", flags: UInt(MS_NOATIME), data: "nobarrier,noinit_itable")
                try? FileSystem.removeDirectory(CPath(root.bytes + Array("/lost+found" as StaticString)))
            }
        } catch { throw Failure(.agent, "the root file system's storage can't be mounted: \(error)") }
    }

    static func device(_ index: UInt8) -> CPath { CPath(Array("/dev/vd" as StaticString) + [UInt8(ascii: "a") + index % 26]) }

    /// In a child of its own: unpacks the layers and writes the runtime's files. Never returns.
    static func fill(_ spec: ContainerSpec, report: Int32) -> Never {
        do throws(Failure) {
            try unpack(spec)
        } catch {
            Report.send(describe(error, spec), on: report)
            Processes.exit(1)
        }
        Processes.exit(0)
    }

    private static func unpack(_ spec: ContainerSpec) throws(Failure) {
        var device: Int32 = -1
        do throws(SystemError) {
            if !spec.layers.isEmpty {
                device = try OwnedDescriptor.open(RootFileSystem.device(spec.layerDevice), O_RDONLY | Int32(GUEST_O_DIRECT)).release()
            }
            try FileSystem.changeRoot(Container.root(spec.container))
            try FileSystem.changeDirectory("/")
        } catch { throw Failure(.agent, "the layers' device can't be opened: \(error)") }
        umask(0)
        try Unpacker.unpack(spec.layers, from: device)
        for file in spec.files { try Unpacker.inject(file) }
    }

    /// Adds the limit that was reached and the way out.
    private static func describe(_ failure: Failure, _ spec: ContainerSpec) -> Failure {
        guard failure.kind == .storageFull else { return failure }
        switch spec.storage {
        case .memory(let bytes):
            return Failure(
                .storageFull,
                "\(failure.text): the root file system is limited to \(Int(clamping: bytes >> 20)) MiB of the guest's memory; use a larger --memory, or --storage-size SIZE to keep it on disk"
            )
        case .disk:
            return Failure(.storageFull, "\(failure.text): the root file system's disk is full; use a larger --storage-size")
        }
    }
}
