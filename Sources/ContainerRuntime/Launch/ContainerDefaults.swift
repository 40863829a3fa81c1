// What every container gets unless it asks otherwise, as Docker has it.
import AgentProtocol
import Wire

enum ContainerDefaults {
    static let maskedPaths: [Text] = [
        "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug",
        "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware",
    ]

    static let readOnlyPaths: [Text] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]

    /// The kernel's own are for a small machine; Docker's containers have these. RLIMIT_NOFILE, RLIMIT_NPROC.
    static let limits = [
        ResourceLimit(resource: 7, soft: 1_048_576, hard: 1_048_576), ResourceLimit(resource: 6, soft: .max, hard: .max),
    ]

    /// The runtime specification's for Linux ("Default Filesystems"). A privileged container has the machine's devices, and may write to its /sys.
    static func mounts(isPrivileged: Bool) -> [MountSpec] {
        let nothing: MountFlags = [.noSetID, .noExecution, .noDevices]
        let access: MountFlags = isPrivileged ? [] : .readOnly
        let devices: MountFlags = [.noSetID, .strictAccessTime]
        return [
            MountSpec("proc", on: "/proc", nothing),
            isPrivileged ? MountSpec("devtmpfs", on: "/dev", devices) : MountSpec("tmpfs", on: "/dev", devices, "mode=755,size=65536k"),
            MountSpec("devpts", on: "/dev/pts", [.noSetID, .noExecution], "newinstance,ptmxmode=0666,mode=0620,gid=5"),
            MountSpec("tmpfs", from: "shm", on: "/dev/shm", nothing, "mode=1777,size=65536k"),
            MountSpec("mqueue", on: "/dev/mqueue", nothing),
            MountSpec("sysfs", on: "/sys", nothing.union(access)),
            MountSpec("cgroup2", from: "cgroup", on: "/sys/fs/cgroup", nothing.union(access).union(.relativeAccessTime)),
        ]
    }

    static func files(hostname: Text) -> [InjectedFile] {
        let hosts = """
            127.0.0.1\tlocalhost
            ::1\tlocalhost ip6-localhost ip6-loopback
            fe00::0\tip6-localnet
            ff00::0\tip6-mcastprefix
            ff02::1\tip6-allnodes
            ff02::2\tip6-allrouters
            127.0.1.1\t
            """
        return [
            InjectedFile(path: "/etc/hosts", mode: 0o644, contents: Array(hosts.utf8) + hostname.bytes + [0x0A]),
            InjectedFile(path: "/etc/hostname", mode: 0o644, contents: hostname.bytes + [0x0A]),
            // There is no network yet: without a server, resolvers fail at once instead of waiting.
            InjectedFile(path: "/etc/resolv.conf", mode: 0o644, contents: []),
        ]
    }
}

extension MountSpec {
    /// Of a file system that is nobody's file; `name` is what mount(8) shows, by default the type.
    init(_ type: Text, from name: Text? = nil, on destination: Text, _ flags: MountFlags, _ data: Text = "") {
        self.init(destination: destination, type: type, source: .name(name ?? type), flags: flags, data: data)
    }
}
