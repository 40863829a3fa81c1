// Why the jail could not be closed. Nothing runs outside of it: each of these ends the start.
public import LinuxSystem

public enum JailError: Error, Equatable, CustomStringConvertible {
    /// clone3(2).
    case namespaces(SystemError)
    /// A step inside; the words complete "the jail".
    case step(String, SystemError)
    /// The compiled filters are not what this version expects.
    case filters
    /// The place of the VMM's cgroup, and what failed there.
    case cgroup(path: String, SystemError)
    case noCgroups

    public var description: String {
        switch self {
        case .namespaces(let error):
            "the jail's namespaces can't be made (\(error)): run as root, or allow user namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone)"
        case .step(let step, let error): "the jail can't \(step): \(error)"
        case .filters: "the seccomp filters are damaged or of another version: install Swiftlet again"
        case .cgroup(let path, let error):
            "the cgroup \(path) can't be made (\(error)): choose another --cgroup-parent, or give --cgroups=disabled"
        case .noCgroups: "no cgroup file system is mounted at /sys/fs/cgroup: mount one, or give --cgroups=disabled"
        }
    }
}
