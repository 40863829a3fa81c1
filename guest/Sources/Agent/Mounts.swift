// A container's mounts: the OCI runtime specification's defaults for Linux ("Default Filesystems", "Default Devices"), as Docker sets them,
// then the container's own. Runs in the container's mount namespace, with its root as root directory, so that links resolve inside.
internal import AgentProtocol
internal import CGuest
internal import GuestSystem
internal import Unpacker
internal import Wire

private let noSetID = UInt(MS_NOSUID)
private let noDevices = UInt(MS_NODEV)
private let noExecution = UInt(MS_NOEXEC)
private let readOnly = UInt(MS_RDONLY)

enum Mounts {
    /// Everything but what depends on a process.
    static func setUp(_ spec: ContainerSpec) throws(Failure) {
        umask(0)
        defer { umask(0o022) }
        try mount("proc", on: "/proc", "proc", noSetID | noExecution | noDevices)
        try mount("tmpfs", on: "/dev", "tmpfs", noSetID | UInt(MS_STRICTATIME), "mode=755,size=65536k")
        do { try makeDevices() } catch { throw Failure(.agent, "the container's /dev can't be filled: \(error)") }
        try mount("devpts", on: "/dev/pts", "devpts", noSetID | noExecution, "newinstance,ptmxmode=0666,mode=0620,gid=5")
        try mount("shm", on: "/dev/shm", "tmpfs", noSetID | noExecution | noDevices, "mode=1777,size=65536k")
        try mount("mqueue", on: "/dev/mqueue", "mqueue", noSetID | noExecution | noDevices)
        try mount("sysfs", on: "/sys", "sysfs", noSetID | noExecution | noDevices | readOnly)
        try mount("cgroup", on: "/sys/fs/cgroup", "cgroup2", noSetID | noExecution | noDevices | UInt(MS_RELATIME) | readOnly)
        for mount in spec.mounts { try apply(mount) }
    }

    /// After the last change to the root file system.
    static func restrict(_ spec: ContainerSpec) throws(Failure) {
        for path in spec.readOnlyPaths { try protect(CPath(path.bytes)) }
        for path in spec.maskedPaths { try mask(CPath(path.bytes)) }
        guard spec.readOnlyRoot else { return }
        do { try FileSystem.mount("", on: "/", type: "", flags: UInt(MS_REMOUNT | MS_BIND) | readOnly) } catch {
            throw Failure(.agent, "the root file system can't be made read-only: \(error)")
        }
    }

    private static func mount(_ source: CPath, on target: CPath, _ type: CPath, _ flags: UInt, _ data: CPath = "") throws(Failure) {
        do throws(SystemError) {
            do { try FileSystem.mount(source, on: target, type: type, flags: flags, data: data) } catch {
                guard error == .notFound else { throw error }
                try Unpacker.makeDirectories(target.bytes)
                try FileSystem.mount(source, on: target, type: type, flags: flags, data: data)
            }
        } catch { throw Failure(.configuration, "'\(name: type.bytes)' can't be mounted on '\(name: target.bytes)' in the container: \(error)") }
    }

    private static func makeDevices() throws(SystemError) {
        try node("/dev/null", 1, 3)
        try node("/dev/zero", 1, 5)
        try node("/dev/full", 1, 7)
        try node("/dev/random", 1, 8)
        try node("/dev/urandom", 1, 9)
        try node("/dev/tty", 5, 0)
        try FileSystem.makeSymbolicLink("/dev/ptmx", to: "pts/ptmx")
        try FileSystem.makeSymbolicLink("/dev/fd", to: "/proc/self/fd")
        try FileSystem.makeSymbolicLink("/dev/stdin", to: "/proc/self/fd/0")
        try FileSystem.makeSymbolicLink("/dev/stdout", to: "/proc/self/fd/1")
        try FileSystem.makeSymbolicLink("/dev/stderr", to: "/proc/self/fd/2")
        try FileSystem.makeSymbolicLink("/dev/core", to: "/proc/kcore")
        try FileSystem.makeDirectory("/dev/pts", mode: 0o755)
        try FileSystem.makeDirectory("/dev/shm", mode: 0o1777)
        try FileSystem.makeDirectory("/dev/mqueue", mode: 0o755)
    }

    private static func node(_ path: CPath, _ major: UInt32, _ minor: UInt32) throws(SystemError) {
        try FileSystem.makeNode(path, mode: FileType.characterDevice | 0o666, major: major, minor: minor)
    }

    /// The terminal as /dev/console, where programs expect the system's console.
    static func bindConsole(terminal number: Int) throws(SystemError) {
        try FileSystem.makeNode("/dev/console", mode: FileType.regular | 0o620)
        try FileSystem.mount("/dev/pts/\(number)", on: "/dev/console", type: "", flags: UInt(MS_BIND))
    }

    // MARK: The container's own

    /// mount(8)'s words for flags; what isn't here goes to the file system as data.
    private static func flag(_ option: [UInt8]) -> (set: UInt, clear: UInt)? {
        let words: [(StaticString, Int32, Bool)] = [
            ("ro", MS_RDONLY, true), ("rw", MS_RDONLY, false), ("nosuid", MS_NOSUID, true), ("suid", MS_NOSUID, false),
            ("nodev", MS_NODEV, true), ("dev", MS_NODEV, false), ("noexec", MS_NOEXEC, true), ("exec", MS_NOEXEC, false),
            ("sync", MS_SYNCHRONOUS, true), ("async", MS_SYNCHRONOUS, false), ("dirsync", MS_DIRSYNC, true), ("noatime", MS_NOATIME, true),
            ("atime", MS_NOATIME, false), ("nodiratime", MS_NODIRATIME, true), ("relatime", MS_RELATIME, true),
            ("strictatime", MS_STRICTATIME, true), ("bind", MS_BIND, true), ("rbind", MS_BIND | MS_REC, true),
            ("private", 0, true), ("rprivate", 0, true), ("defaults", 0, true),
        ]
        for (word, bits, sets) in words where option == Array(word) {
            return sets ? (UInt(bits), 0) : (0, UInt(bits))
        }
        return nil
    }

    private static func apply(_ spec: MountSpec) throws(Failure) {
        var flags: UInt = 0
        var data: [UInt8] = []
        for option in spec.options {
            if let (set, clear) = flag(option.bytes) {
                flags = (flags | set) & ~clear
            } else {
                data += (data.isEmpty ? [] : [0x2C]) + option.bytes
            }
        }
        guard spec.destination.bytes.first == 0x2F else {
            throw Failure(.configuration, "the mount's destination '\(name: spec.destination.bytes)' is not an absolute path")
        }
        try mount(CPath(spec.source.bytes), on: CPath(spec.destination.bytes), CPath(spec.type.bytes), flags, CPath(data))
    }

    private static func protect(_ path: CPath) throws(Failure) {
        do throws(SystemError) {
            try FileSystem.mount(path, on: path, type: "", flags: UInt(MS_BIND | MS_REC))
            try FileSystem.mount("", on: path, type: "", flags: UInt(MS_REMOUNT | MS_BIND) | readOnly | noSetID | noExecution | noDevices)
        } catch { if error != .notFound { throw Failure(.configuration, "'\(name: path.bytes)' can't be made read-only: \(error)") } }
    }

    private static func mask(_ path: CPath) throws(Failure) {
        do throws(SystemError) {
            do { try FileSystem.mount("/dev/null", on: path, type: "", flags: UInt(MS_BIND)) } catch {
                guard error == .notDirectory else { throw error }
                try FileSystem.mount("tmpfs", on: path, type: "tmpfs", flags: readOnly, data: "size=0,nr_inodes=1")
            }
        } catch { if error != .notFound { throw Failure(.configuration, "'\(name: path.bytes)' can't be masked: \(error)") } }
    }
}
