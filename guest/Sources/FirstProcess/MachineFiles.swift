// What PID 1 itself has for files: a root of its own, and the machine's disks.
internal import AgentProtocol
internal import CGuest
public import GuestSystem

public enum MachineFiles {
    /// Leaves the initial ramfs, which pivot_root(2) refuses to leave, for a tmpfs with the machine's devices and `directories`.
    public static func prepare(_ directories: [StaticString]) throws(Failure) {
        do throws(SystemError) {
            try FileSystem.makeDirectory("/agent", mode: 0o755)
            try FileSystem.mount("agent", on: "/agent", type: "tmpfs", data: "mode=755")
            try FileSystem.changeDirectory("/agent")
            try FileSystem.mount(".", on: "/", type: "", flags: UInt(MS_MOVE))
            try FileSystem.changeRoot(".")
            for directory in directories + ["/dev"] { try FileSystem.makeDirectory(CPath(directory), mode: 0o755) }
            try FileSystem.mount("devtmpfs", on: "/dev", type: "devtmpfs")
        } catch { throw Failure(.agent, "the guest's own file systems can't be mounted: \(error)") }
    }

    /// Block device number `index`: 0 is vda.
    public static func device(_ index: UInt8) -> CPath { CPath(Array("/dev/vd" as StaticString) + [UInt8(ascii: "a") + index % 26]) }

    /// For writing. The disk's contents are worth nothing if the machine ends in between: neither a journal nor a barrier is worth its wait.
    public static func mountDisk(_ index: UInt8, on path: CPath) throws(SystemError) {
        try FileSystem.mount(device(index), on: path, type: "ext4", flags: UInt(MS_NOATIME), data: "nobarrier,noinit_itable")
        try? FileSystem.removeDirectory(CPath(path.bytes + Array("/lost+found" as StaticString)))
    }
}
