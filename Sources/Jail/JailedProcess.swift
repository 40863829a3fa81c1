// The VMM's process, seen from its parent: born into a pid namespace of its own, watched until its end.
import CJail
import CLinux
import Glibc
public import LinuxSystem

/// A child in a pid namespace of its own, and a user namespace where the caller isn't root (the other namespaces are its own business: `Jail.enter`); in a session of its own,
/// so that signals from the terminal come to the parent alone, and the terminal takes no orders from the child.
public struct JailedProcess: ~Copyable {
    /// In the parent's pid namespace.
    public let pid: Int32
    private let handle: OwnedDescriptor

    /// Executes `arguments[0]` with an empty environment. Of this process's descriptors it gets the standard ones and those of `kept`; instead of the standard ones
    /// `streams`, where one is given: a terminal controls its session then.
    public init(
        _ arguments: [String], as identity: Identity, kept: [Int32], cgroup: Cgroup?, streams: Int32? = nil
    ) throws(JailError) {
        let flags = Jail.hasWalls ? cjail_new_processes | (identity == .caller ? cjail_new_user : 0) : 0
        let user = (geteuid(), getegid())
        var raw: Int32 = -1
        let directory = cgroup?.directory ?? -1
        let pid: Int32
        do throws(SystemError) {
            // SAFETY: clone3 writes one descriptor; without CLONE_VM the child has its own copy of everything.
            pid = try systemCall("clone3") { unsafe cjail_fork(flags, directory, &raw) }
        } catch { throw .namespaces(error) }
        if pid == 0 { Self.becomeChild(arguments, identity == .caller ? user : nil, kept, cgroup, streams) }
        cgroup?.release()
        self.pid = pid
        handle = OwnedDescriptor(owning: raw)
    }

    /// Harmless when it has ended.
    public borrowing func signal(_ number: Int32) { _ = cjail_signal(handle.raw, number) }

    /// Doesn't wait; the status stays for `wait`.
    public borrowing func hasEnded() throws(SystemError) -> Bool {
        var entry = pollfd(fd: handle.raw, events: Int16(POLLIN), revents: 0)
        // SAFETY: poll reads and writes one entry. A process's descriptor is readable when the process has ended (pidfd_open(2)).
        return try systemCall("poll") { unsafe poll(&entry, 1, 0) } > 0
    }

    /// waitpid(2)'s status, once the process has ended.
    public borrowing func wait() throws(SystemError) -> Int32 {
        var status: Int32 = 0
        let pid = self.pid
        // SAFETY: waitpid writes one int.
        try systemCall("waitpid") { unsafe waitpid(pid, &status, 0) }
        return status
    }

    // MARK: The child

    private static func becomeChild(_ arguments: [String], _ user: (uid_t, gid_t)?, _ kept: [Int32], _ cgroup: Cgroup?, _ streams: Int32?) -> Never {
        do throws(SystemError) {
            try cgroup?.enter()
            if let user { try mapUser(user) }
            try systemCall("setsid") { setsid() }
            if let streams {
                if isatty(streams) == 1 { try systemCall("ioctl TIOCSCTTY") { clinux_ioctl(streams, CLINUX_TIOCSCTTY, 0) } }
                for number in STDIN_FILENO...STDERR_FILENO { try systemCall("dup2") { dup2(streams, number) } }
            }
            try systemCall("close_range") { cjail_close_on_exec_from(3) }
            for descriptor in kept { try systemCall("fcntl") { clinux_fcntl(descriptor, F_SETFD, 0) } }
            let program = arguments.first ?? ""
            try systemCall("execve", on: program) {
                // SAFETY: execve copies the vectors; it returns only on failure, while they are still there.
                unsafe CStringVector(arguments.map { Array($0.utf8) }).use { argv in
                    unsafe CStringVector([]).use { envp in unsafe execve(program, argv, envp) }
                }
            }
        } catch { printError("swiftlet: the VMM cannot be started: \(error): install Swiftlet again") }
        _exit(125)
    }

    /// The caller is root of the new user namespace, which lets it close the jail, and nobody else is in it (user_namespaces(7)).
    private static func mapUser(_ user: (uid_t, gid_t)) throws(SystemError) {
        for (path, text) in [("setgroups", "deny"), ("uid_map", "0 \(user.0) 1"), ("gid_map", "0 \(user.1) 1")] {
            let file = try OwnedDescriptor.open("/proc/self/\(path)", O_WRONLY)
            try writeAll(file.raw, Array(text.utf8))
        }
    }
}
