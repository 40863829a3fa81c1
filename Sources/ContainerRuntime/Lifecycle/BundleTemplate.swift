// `swiftlet spec`: a config.json to begin with, as `runc spec` writes it.
import Glibc
import LinuxSystem
import OCI
import Wire

enum BundleTemplate {
    /// `directory`: nil for the working directory. What is there is left alone.
    static func write(to directory: Text?) throws(ContainerError) {
        let path = (directory.map { $0.string + "/" } ?? "") + "config.json"
        let text = try JSONText.indented(value)
        do throws(SystemError) {
            let file = try OwnedDescriptor.open(path, O_WRONLY | O_CREAT | O_EXCL, mode: 0o666)
            try writeAll(file.raw, Array(text.utf8))
        } catch {
            if error.errno == EEXIST { throw .container("File \(path) exists. Remove it first") }
            throw .system(what: "\(path) cannot be written", error)
        }
    }

    static var value: JSONValue {
        .object(
            ("ociVersion", .string(ContainerRecord.version)), ("process", process), ("root", .object(("path", "rootfs"), ("readonly", true))),
            ("hostname", "swiftlet"), ("mounts", .array(mounts)), ("linux", linux))
    }

    private static var process: JSONValue {
        let capabilities: JSONValue = .strings(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"])
        return .object(
            ("terminal", true), ("user", .object(("uid", .integer(0)), ("gid", .integer(0)))), ("args", .strings(["sh"])),
            ("env", .strings(["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"])), ("cwd", "/"),
            ("capabilities", .object(("bounding", capabilities), ("effective", capabilities), ("permitted", capabilities))),
            ("rlimits", .array([.object(("type", "RLIMIT_NOFILE"), ("hard", .integer(1024)), ("soft", .integer(1024)))])),
            ("noNewPrivileges", true))
    }

    private static var mounts: [JSONValue] {
        func mount(_ destination: String, _ type: String, _ source: String, _ options: [String]) -> JSONValue {
            .object(
                ("destination", .string(destination)), ("type", .string(type)), ("source", .string(source)),
                ("options", options.isEmpty ? nil : .strings(options)))
        }
        return [
            mount("/proc", "proc", "proc", []),
            mount("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("/dev/pts", "devpts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
            mount("/dev/shm", "tmpfs", "shm", ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
            mount("/dev/mqueue", "mqueue", "mqueue", ["nosuid", "noexec", "nodev"]),
            mount("/sys", "sysfs", "sysfs", ["nosuid", "noexec", "nodev", "ro"]),
            mount("/sys/fs/cgroup", "cgroup", "cgroup", ["nosuid", "noexec", "nodev", "relatime", "ro"]),
        ]
    }

    private static var linux: JSONValue {
        .object(
            ("resources", .object(("devices", .array([.object(("allow", false), ("access", "rwm"))])))),
            ("namespaces", .array(["pid", "network", "ipc", "uts", "mount", "cgroup"].map { .object(("type", .string($0))) })),
            (
                "maskedPaths",
                .strings([
                    "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
                    "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
                ])
            ), ("readonlyPaths", .strings(["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"])))
    }
}
