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

private struct StandardMount {
    let source: StaticString
    let target: StaticString
    let type: StaticString
    let flags: UInt
    let data: StaticString
}

/// In this order: /dev holds three of the others.
private let standards = [
    StandardMount(source: "proc", target: "/proc", type: "proc", flags: noSetID | noExecution | noDevices, data: ""),
    StandardMount(source: "tmpfs", target: "/dev", type: "tmpfs", flags: noSetID | UInt(MS_STRICTATIME), data: "mode=755,size=65536k"),
    StandardMount(
        source: "devpts", target: "/dev/pts", type: "devpts", flags: noSetID | noExecution, data: "newinstance,ptmxmode=0666,mode=0620,gid=5"),
    StandardMount(
        source: "shm", target: "/dev/shm", type: "tmpfs", flags: noSetID | noExecution | noDevices, data: "mode=1777,size=65536k"),
    StandardMount(source: "mqueue", target: "/dev/mqueue", type: "mqueue", flags: noSetID | noExecution | noDevices, data: ""),
    StandardMount(source: "sysfs", target: "/sys", type: "sysfs", flags: noSetID | noExecution | noDevices | readOnly, data: ""),
    StandardMount(
        source: "cgroup", target: "/sys/fs/cgroup", type: "cgroup2", flags: noSetID | noExecution | noDevices | UInt(MS_RELATIME) | readOnly,
        data: ""),
]

private struct Node {
    let path: StaticString
    let mode: UInt32
    let major: UInt32
    let minor: UInt32

    init(_ path: StaticString, _ mode: UInt32, _ major: UInt32 = 0, _ minor: UInt32 = 0) {
        self.path = path
        self.mode = mode
        self.major = major
        self.minor = minor
    }
}

private let device: UInt32 = 0o020666
private let nodes = [
    Node("/dev/null", device, 1, 3), Node("/dev/zero", device, 1, 5), Node("/dev/full", device, 1, 7), Node("/dev/random", device, 1, 8),
    Node("/dev/urandom", device, 1, 9), Node("/dev/tty", device, 5, 0),
]
private let directories = [Node("/dev/pts", 0o755), Node("/dev/shm", 0o1777), Node("/dev/mqueue", 0o755)]
private let links: [(StaticString, StaticString)] = [
    ("/dev/ptmx", "pts/ptmx"), ("/dev/fd", "/proc/self/fd"), ("/dev/stdin", "/proc/self/fd/0"), ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"), ("/dev/core", "/proc/kcore"),
]

enum Mounts {
    /// Everything but what depends on a process.
    static func setUp(_ spec: ContainerSpec) throws(Failure) {
        umask(0)
        defer { umask(0o022) }
        for standard in standards {
            let isDevices = standard.flags & noExecution == 0
            let flags = spec.isPrivileged ? standard.flags & ~readOnly : standard.flags
            let type: StaticString = isDevices && spec.isPrivileged ? "devtmpfs" : standard.type
            try mount(CPath(standard.source), on: CPath(standard.target), CPath(type), flags, CPath(standard.data))
            if isDevices {
                do { try makeDevices() } catch { throw Failure(.agent, "the container's /dev can't be filled: \(error)") }
            }
        }
        for mount in spec.mounts { try apply(mount) }
        if !spec.scaffold.bytes.isEmpty { try? FileSystem.unmount(CPath(spec.scaffold.bytes)) }
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
        for node in nodes {
            try ifMissing { () throws(SystemError) in
                try FileSystem.makeNode(CPath(node.path), mode: node.mode, major: node.major, minor: node.minor)
            }
        }
        for directory in directories {
            try ifMissing { () throws(SystemError) in try FileSystem.makeDirectory(CPath(directory.path), mode: directory.mode) }
        }
        for (path, target) in links {
            try ifMissing { () throws(SystemError) in try FileSystem.makeSymbolicLink(CPath(path), to: CPath(target)) }
        }
    }

    /// A privileged container's /dev, the machine's, has much of it.
    private static func ifMissing(_ make: () throws(SystemError) -> Void) throws(SystemError) {
        do throws(SystemError) { try make() } catch { if error != .exists { throw error } }
    }

    /// The terminal as /dev/console, where programs expect the system's console.
    static func bindConsole(terminal number: Int) throws(SystemError) {
        try? FileSystem.makeNode("/dev/console", mode: FileType.regular | 0o620)
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
        let target = CPath(spec.destination.bytes)
        try mount(CPath(spec.source.bytes), on: target, CPath(spec.type.bytes), flags, CPath(data))
        // A bind takes no other flags along.
        if flags & readOnly != 0, flags & UInt(MS_BIND) != 0 { try mount("", on: target, "", flags | UInt(MS_REMOUNT)) }
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
