// The virtual machine from inside: its port for timeline marks, its log, its end.
internal import CGuest

public enum Machine {
    /// Stops the machine at once; the VMM sees a reset.
    @inline(never) public static func reset() -> Never {
        sync()
        _ = reboot(RB_AUTOBOOT)
        _exit(1)
    }

    /// All of its memory, in bytes (sysinfo(2)).
    public static var memory: UInt64 { guest_memory_size() }

    /// One line into the kernel's log, from where it reaches the console (kmsg: Documentation/ABI/testing/dev-kmsg).
    @inline(never) public static func log(_ text: Sentence) {
        // A node of its own: /dev may not be there yet.
        try? FileSystem.makeNode("/kmsg", mode: FileType.characterDevice | 0o600, major: 1, minor: 11)
        guard let log = try? OwnedDescriptor.open("/kmsg", O_WRONLY) else { return }
        try? InputOutput.writeAll(log.raw, ("<3>swiftlet agent: \(text)\n" as Sentence).bytes)
    }

    /// The end, with a reason.
    @inline(never) public static func fail(_ text: Sentence) -> Never {
        log(text)
        reset()
    }

    /// The loopback interface (netdevice(7)).
    @inline(never) public static func bringLoopbackUp() {
        guard let descriptor = try? systemCall({ guest_interface_socket() }) else { return }
        let socket = OwnedDescriptor(owning: descriptor)
        // SAFETY: the C string outlives the call.
        _ = unsafe ("lo" as CPath).use { unsafe guest_interface_up(socket.raw, $0) }
    }

    /// A connection to a port of the host. One that is still `connecting` becomes writable when it is up.
    @inline(never) public static func connect(toHostPort port: UInt32, blocking: Bool) throws(SystemError) -> HostConnection {
        var connecting: Int32 = 0
        // SAFETY: writes one int.
        let descriptor = try systemCall { unsafe guest_vsock_connect(port, blocking ? 0 : SOCK_NONBLOCK, &connecting) }
        return HostConnection(descriptor: OwnedDescriptor(owning: descriptor), isConnecting: connecting != 0)
    }

    /// Nothing more will be written: the host reads an end of file.
    @inline(never) public static func endWriting(_ socket: Int32) { _ = guest_end_writing(socket) }
}

public struct HostConnection: ~Copyable {
    public let descriptor: OwnedDescriptor
    public let isConnecting: Bool

    init(descriptor: consuming OwnedDescriptor, isConnecting: Bool) {
        self.descriptor = descriptor
        self.isConnecting = isConnecting
    }

    public consuming func take() -> OwnedDescriptor { descriptor }
}

/// A terminal's two ends (pty(7)).
public enum Terminal {
    /// A new master in the devpts instance mounted at /dev/pts.
    @inline(never) public static func openMaster() throws(SystemError) -> OwnedDescriptor {
        let master = try OwnedDescriptor.open("/dev/pts/ptmx", O_RDWR | O_NOCTTY)
        try systemCall { guest_unlock_terminal(master.raw) }
        return master
    }

    @inline(never) public static func openPeer(of master: Int32) throws(SystemError) -> OwnedDescriptor {
        OwnedDescriptor(owning: try systemCall { guest_terminal_peer(master, O_RDWR | O_NOCTTY | O_CLOEXEC) })
    }

    /// N of /dev/pts/N.
    @inline(never) public static func number(of master: Int32) throws(SystemError) -> Int { Int(try systemCall { guest_terminal_number(master) }) }

    @inline(never) public static func resize(_ master: Int32, rows: UInt16, columns: UInt16) { _ = guest_set_window_size(master, rows, columns) }

    /// Of this process's session.
    @inline(never) public static func makeControlling(_ terminal: Int32) { _ = guest_make_controlling(terminal) }
}

extension OwnedDescriptor {
    /// dup2(2): `number` becomes this file, open across execve(2).
    public borrowing func duplicate(to number: Int32) throws(SystemError) {
        if raw == number {
            try systemCall { guest_fcntl(number, F_SETFD, 0) }
        } else {
            try systemCall { dup2(raw, number) }
        }
    }
}
