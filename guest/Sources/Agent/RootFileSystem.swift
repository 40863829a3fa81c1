// A container's root file system: the image's disk, read-only, below what the container writes.
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
            for directory in ["/containers", "/images", "/dev"] as [StaticString] { try FileSystem.makeDirectory(CPath(directory), mode: 0o755) }
            try FileSystem.mount("devtmpfs", on: "/dev", type: "devtmpfs")
        } catch { throw Failure(.agent, "the guest's own file systems can't be mounted: \(error)") }
    }

    /// The host's directories and files, under their numbers.
    static func tree(_ number: UInt32) -> CPath { "/trees/\(Int(number))" }

    static func mountTrees() throws(Failure) {
        do throws(SystemError) {
            try FileSystem.makeDirectory("/trees", mode: 0o755)
            try FileSystem.mount("files", on: "/trees", type: "virtiofs")
        } catch { throw Failure(.agent, "the host's files can't be mounted: \(error)") }
    }

    /// Mounts the container's root file system at `Container.root`.
    static func mount(_ spec: ContainerSpec) throws(Failure) {
        let root = Container.root(spec.container)
        do throws(SystemError) {
            try FileSystem.makeDirectory(root, mode: 0o755)
            let image: UInt8
            switch spec.root {
            case .empty: return try mountStorage(spec.storage, on: root)
            case .tree(let number): return try FileSystem.mount(tree(number), on: root, type: "", flags: UInt(MS_BIND | MS_REC))
            case .image(let disk): image = disk
            }
            let lower: CPath = "/images/\(Int(image))"
            try FileSystem.makeDirectory(lower, mode: 0o755)
            try FileSystem.mount(device(image), on: lower, type: "ext4", flags: UInt(MS_RDONLY))
            // What the container writes is under its root's own mount point until the overlay covers it.
            try mountStorage(spec.storage, on: root)
            let upper: CPath = "\(root.bytes)/upper"
            let work: CPath = "\(root.bytes)/work"
            for directory in [upper, work] { try FileSystem.makeDirectory(directory, mode: 0o755) }
            // The storage dies with the machine: nothing that is written there needs to be synced.
            let data: CPath = "lowerdir=\(lower.bytes),upperdir=\(upper.bytes),workdir=\(work.bytes),redirect_dir=on,volatile"
            try FileSystem.mount("overlay", on: root, type: "overlay", data: data)
        } catch { throw Failure(.agent, "the root file system can't be mounted: \(error)") }
    }

    private static func mountStorage(_ storage: RootStorage, on path: CPath) throws(SystemError) {
        switch storage {
        case .memory(let bytes):
            // tmpfs counts files apart from bytes, by default for half of the memory.
            let data: CPath = "mode=755,size=\(Int(clamping: bytes)),nr_inodes=\(Int(clamping: max(bytes / 2048, 1024)))"
            try FileSystem.mount("root", on: path, type: "tmpfs", data: data)
        case .disk(let index):
            try mountDisk(index, on: path)
        }
    }

    /// For writing. The disk's contents are worth nothing if the machine ends in between: neither a journal nor a barrier is worth its wait.
    static func mountDisk(_ index: UInt8, on path: CPath) throws(SystemError) {
        try FileSystem.mount(device(index), on: path, type: "ext4", flags: UInt(MS_NOATIME), data: "nobarrier,noinit_itable")
        try? FileSystem.removeDirectory(CPath(path.bytes + Array("/lost+found" as StaticString)))
    }

    static func device(_ index: UInt8) -> CPath { CPath(Array("/dev/vd" as StaticString) + [UInt8(ascii: "a") + index % 26]) }
}
