// Unix sockets with a name in the file system: unix(7).
import CLinux
import Glibc

public enum UnixSocket {
    /// socket(2), bind(2) and listen(2); non-blocking. The name must be free: it is not removed first.
    public static func listen(at path: String, backlog: Int32 = 64) throws(SystemError) -> OwnedDescriptor {
        try listen(on: make(Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), path), at: path, backlog)
    }

    /// socket(2) and connect(2); non-blocking. A listener whose backlog is full fails with EAGAIN instead of waiting.
    public static func connect(to path: String) throws(SystemError) -> OwnedDescriptor {
        try connect(make(Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), path), to: path)
    }

    private static func listen(on socket: consuming OwnedDescriptor, at path: String, _ backlog: Int32) throws(SystemError) -> OwnedDescriptor {
        let raw = socket.raw
        unsafe try withAddress(path) { address, length throws(SystemError) in
            // SAFETY: bind reads `length` bytes of the address during the call.
            try systemCall("bind", on: path) { unsafe bind(raw, address, length) }
        }
        try systemCall("listen", on: path) { Glibc.listen(raw, backlog) }
        return socket
    }

    private static func connect(_ socket: consuming OwnedDescriptor, to path: String) throws(SystemError) -> OwnedDescriptor {
        let raw = socket.raw
        unsafe try withAddress(path) { address, length throws(SystemError) in
            // SAFETY: connect reads `length` bytes of the address during the call.
            try systemCall("connect", on: path) { unsafe Glibc.connect(raw, address, length) }
        }
        return socket
    }

    /// The same for packets (`PacketSocket`).
    public static func listenForPackets(at path: String, backlog: Int32 = 64) throws(SystemError) -> OwnedDescriptor {
        try listen(on: make(Int32(SOCK_SEQPACKET.rawValue) | Int32(SOCK_NONBLOCK.rawValue), path), at: path, backlog)
    }

    /// The same for packets, blocking.
    public static func connectForPackets(to path: String) throws(SystemError) -> OwnedDescriptor {
        try connect(make(Int32(SOCK_SEQPACKET.rawValue), path), to: path)
    }

    /// The next connection of a socket of `listenForPackets`, non-blocking, and the user who made it, as this process's user namespace has it; nil where none waits.
    /// `limit`: of packets that arrive, in bytes.
    public static func acceptPackets(on listener: Int32, limit: Int) throws(SystemError) -> (connection: PacketSocket, user: UInt32)? {
        do throws(SystemError) {
            let raw = try systemCall("accept4") { clinux_accept(listener) }
            let connection = PacketSocket(owning: OwnedDescriptor(owning: raw), limit: limit)
            var user: UInt32 = 0
            // SAFETY: the call writes one number.
            try systemCall("getsockopt SO_PEERCRED") { unsafe clinux_peer_user(raw, &user) }
            return (connection, user)
        } catch {
            // The peer may have gone again before it was its turn.
            if [EAGAIN, ECONNABORTED].contains(error.errno) { return nil }
            throw error
        }
    }

    private static func make(_ kind: Int32, _ path: String) throws(SystemError) -> OwnedDescriptor {
        OwnedDescriptor(owning: try systemCall("socket", on: path) { socket(AF_UNIX, kind | Int32(SOCK_CLOEXEC.rawValue), 0) })
    }

    private static func withAddress(
        _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) throws(SystemError) -> Void
    ) throws(SystemError) {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        let capacity = MemoryLayout.size(ofValue: address.sun_path)
        guard !bytes.isEmpty, bytes.count < capacity, !bytes.contains(0) else {
            throw SystemError(call: "bind or connect", subject: path, errno: ENAMETOOLONG)
        }
        // SAFETY: sun_path is larger than `bytes`, so the copy stays inside and a NUL follows it.
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
        var failure: SystemError?
        // SAFETY: sockaddr_un begins with the fields of sockaddr, and its size goes with the pointer.
        unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                do throws(SystemError) {
                    unsafe try body(generic, socklen_t(MemoryLayout<sockaddr_un>.size))
                } catch { failure = error }
            }
        }
        if let failure { throw failure }
    }
}
