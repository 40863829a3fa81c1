// Processes: making, waiting, signalling, and what execve(2) starts from.
internal import CGuest

/// How a child ended.
public enum ChildStatus: Equatable {
    case exited(UInt8)
    case signalled(UInt8)
}

/// Namespaces of clone(2).
public struct NamespaceFlags: OptionSet, Sendable {
    public let rawValue: UInt
    public init(rawValue: UInt) { self.rawValue = rawValue }
    public static let mount = NamespaceFlags(rawValue: 0x0002_0000)
    public static let cgroup = NamespaceFlags(rawValue: 0x0200_0000)
    public static let hostName = NamespaceFlags(rawValue: 0x0400_0000)
    public static let interprocess = NamespaceFlags(rawValue: 0x0800_0000)
    public static let user = NamespaceFlags(rawValue: 0x1000_0000)
    public static let process = NamespaceFlags(rawValue: 0x2000_0000)
}

public enum Processes {
    /// fork(2), the child in new namespaces and, if `cgroup` is a directory's descriptor, in that control group. 0 in the child, which must end with `exit` or
    /// `execute`.
    @inline(never) public static func fork(into namespaces: NamespaceFlags = [], cgroup: Int32 = -1) throws(SystemError) -> Int32 {
        try systemCall { guest_clone(UInt64(namespaces.rawValue), cgroup) }
    }

    /// A descriptor of the process `pid`, by which it is known in other PID namespaces, too.
    @inline(never) public static func open(_ pid: Int32) throws(SystemError) -> OwnedDescriptor {
        OwnedDescriptor(owning: try systemCall { guest_pidfd_open(pid) })
    }

    /// fork(2), the child in the PID namespace of a process (setns(2): the caller itself stays where it is).
    @inline(never) public static func fork(joiningProcessesOf process: Int32, cgroup: Int32) throws(SystemError) -> Int32 {
        let own = try open(getpid())
        try join(.process, of: process)
        let child = guest_clone(0, cgroup)
        if child == 0 { return 0 }
        let error = SystemError.last
        try systemCall { setns(own.raw, Int32(truncatingIfNeeded: NamespaceFlags.process.rawValue)) }
        if child < 0 { throw error }
        return child
    }

    /// Closes every descriptor from this number on.
    @inline(never) public static func closeDescriptors(from number: Int32) { _ = guest_close_range(UInt32(number)) }

    /// Takes the notifications out of a descriptor of `childSignal`.
    @inline(never) public static func drain(_ descriptor: Int32) {
        var buffer = [UInt8](repeating: 0, count: 1024)
        while (try? InputOutput.read(descriptor, into: &buffer, count: buffer.count)) != nil {}
    }

    /// Until a signal ends it.
    @inline(never) public static func waitForEver() -> Never { while true { pause() } }

    /// _exit(2).
    @inline(never) public static func exit(_ code: Int32) -> Never { guest_exit(code) }

    /// Any child that has ended (waitpid(2)); nil when none has.
    @inline(never) public static func reap() -> (pid: Int32, status: ChildStatus)? {
        var status: Int32 = 0
        // SAFETY: writes one int.
        let pid = unsafe waitpid(-1, &status, WNOHANG)
        guard pid > 0 else { return nil }
        let isExit = guest_exited(status) != 0
        return (
            pid,
            isExit ? .exited(UInt8(truncatingIfNeeded: guest_exit_code(status))) : .signalled(UInt8(truncatingIfNeeded: guest_exit_signal(status)))
        )
    }

    /// Waits for one child.
    @inline(never) public static func wait(_ pid: Int32) -> ChildStatus? {
        var status: Int32 = 0
        // SAFETY: writes one int.
        guard (try? systemCall { unsafe waitpid(pid, &status, 0) }) != nil else { return nil }
        return guest_exited(status) != 0
            ? .exited(UInt8(truncatingIfNeeded: guest_exit_code(status))) : .signalled(UInt8(truncatingIfNeeded: guest_exit_signal(status)))
    }

    /// The same, for so many milliseconds (-1: as long as it takes); nil if it hasn't ended by then.
    @inline(never) public static func wait(_ pid: Int32, milliseconds: Int32) -> ChildStatus? {
        guard let process = try? open(pid) else { return nil }
        return guest_wait_readable(process.raw, milliseconds) > 0 ? wait(pid) : nil
    }

    @inline(never) public static func signal(_ pid: Int32, _ number: UInt8) throws(SystemError) { try systemCall { kill(pid, Int32(number)) } }

    /// A descriptor that becomes readable when a child ends; SIGPIPE is ignored from now on.
    @inline(never) public static func childSignal() throws(SystemError) -> OwnedDescriptor {
        OwnedDescriptor(owning: try systemCall { guest_child_signal_descriptor() })
    }

    /// Signals as a new program expects them: all default, none blocked.
    @inline(never) public static func resetSignals() { guest_reset_signals() }

    @inline(never) public static func startSession() { _ = setsid() }

    @inline(never) public static func setHostName(_ name: [UInt8]) throws(SystemError) {
        // SAFETY: reads exactly the array's bytes.
        try systemCall { unsafe name.withUnsafeBytes { unsafe sethostname($0.baseAddress?.assumingMemoryBound(to: CChar.self), $0.count) } }
    }

    @inline(never) public static func setDomainName(_ name: [UInt8]) throws(SystemError) {
        // SAFETY: reads exactly the array's bytes.
        try systemCall { unsafe name.withUnsafeBytes { unsafe setdomainname($0.baseAddress?.assumingMemoryBound(to: CChar.self), $0.count) } }
    }

    /// Joins the namespaces of a process.
    @inline(never) public static func join(_ namespaces: NamespaceFlags, of process: Int32) throws(SystemError) {
        try systemCall { setns(process, Int32(truncatingIfNeeded: namespaces.rawValue)) }
    }

    /// New namespaces for this process.
    @inline(never) public static func enterNew(_ namespaces: NamespaceFlags) throws(SystemError) {
        try systemCall { unshare(Int32(truncatingIfNeeded: namespaces.rawValue)) }
    }

    @inline(never) public static func setLimit(_ resource: UInt32, soft: UInt64, hard: UInt64) throws(SystemError) {
        try systemCall { guest_setrlimit(resource, soft, hard) }
    }

    /// Groups first: they can't be changed without the user that is left behind.
    @inline(never) public static func become(user: UInt32, group: UInt32, groups: [UInt32]) throws(SystemError) {
        // SAFETY: reads exactly the array's elements.
        try systemCall { unsafe groups.withUnsafeBufferPointer { unsafe guest_setgroups($0.count, $0.baseAddress) } }
        try systemCall { guest_setresgid(group) }
        try systemCall { guest_setresuid(user) }
    }

    /// Files that are made and mounted from now on belong to others; the capabilities stay (SECBIT_NO_SETUID_FIXUP), until a user namespace is entered.
    @inline(never) public static func actOnFiles(asUser user: UInt32, group: UInt32) throws(SystemError) {
        try systemCall { guest_prctl(PR_SET_SECUREBITS, 1 << 2) }
        setfsgid(group)
        setfsuid(user)
    }

    /// Leaves only `capabilities` in the bounding set (capabilities(7)).
    @inline(never) public static func boundCapabilities(_ capabilities: UInt64) throws(SystemError) {
        for number in 0..<UInt(64) where capabilities >> UInt64(number) & 1 == 0 {
            // The kernel's last capability has been passed.
            if guest_prctl(PR_CAPBSET_DROP, number) < 0 { return }
        }
    }

    /// A change of user leaves the permitted set as it is; until the next execve(2).
    public static func keepCapabilities() { _ = guest_prctl(PR_SET_KEEPCAPS, 1) }

    /// All but the bounding set.
    @inline(never) public static func setCapabilities(effective: UInt64, permitted: UInt64, inheritable: UInt64, ambient: UInt64) throws(SystemError)
    {
        try systemCall { guest_capset(effective, permitted, inheritable, ambient) }
    }

    /// No ptrace(2) by others, no core; until the next execve(2).
    public static func forbidTracing() { _ = guest_prctl(PR_SET_DUMPABLE, 0) }

    @inline(never) public static func forbidNewPrivileges() throws(SystemError) { try systemCall { guest_prctl(PR_SET_NO_NEW_PRIVS, 1) } }

    /// Attaches an eBPF program that decides which devices the processes of a control group may make and open.
    @inline(never) public static func decideDevices(_ group: Int32, _ program: [UInt8]) throws(SystemError) {
        // SAFETY: reads whole instructions of the array, which outlives the call.
        try systemCall { unsafe program.withUnsafeBytes { unsafe guest_attach_device_program(group, $0.baseAddress, $0.count / 8) } }
    }

    /// execve(2), under the seccomp filter `filter` if there is one; returns only if it fails.
    @inline(never) public static func execute(_ path: CPath, arguments: [[UInt8]], environment: [[UInt8]], filter: [UInt8]) -> SystemError {
        var block: [CChar] = []
        var offsets: [Int] = []
        for text in arguments + environment {
            offsets.append(block.count)
            for byte in text { block.append(CChar(bitPattern: byte)) }
            block.append(0)
        }
        // SAFETY: all pointers are into one block that outlives the call; both lists end with a null pointer.
        return unsafe block.withUnsafeMutableBufferPointer { block in
            var pointers: [UnsafeMutablePointer<CChar>?] = unsafe []
            for index in 0..<offsets.count {
                if index == arguments.count { unsafe pointers.append(nil) }
                unsafe pointers.append(block.baseAddress.unsafelyUnwrapped + offsets[index])
            }
            unsafe pointers.append(nil)
            if environment.isEmpty { unsafe pointers.append(nil) }
            return unsafe pointers.withUnsafeBufferPointer { pointers in
                let start = unsafe pointers.baseAddress.unsafelyUnwrapped
                // Nothing comes between: the filter may refuse whatever else there is.
                return unsafe path.use { path in
                    unsafe filter.withUnsafeBytes { filter in
                        if unsafe filter.count > 0 && guest_install_filter(filter.baseAddress, filter.count / 8) < 0 { return SystemError.badFilter }
                        _ = unsafe execve(path, start, start + arguments.count + 1)
                        return SystemError.last
                    }
                }
            }
        }
    }
}
