// A container's root file system: the image's disk, read-only, below what the container writes.
internal import AgentProtocol
internal import CGuest
internal import FirstProcess
internal import GuestSystem
internal import Wire

enum RootFileSystem {
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
            // The default, 32, reads 128 KiB for each directory that a start comes through: most of it for nobody (docs/adr/0011).
            try FileSystem.mount(MachineFiles.device(image), on: lower, type: "ext4", flags: UInt(MS_RDONLY), data: "inode_readahead_blks=8")
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
            try MachineFiles.mountDisk(index, on: path)
        }
    }
}
