// Unix stream sockets with a name in the file system: unix(7).
import CLinux
import Glibc

public enum UnixSocket {
    /// socket(2), bind(2) and listen(2); non-blocking. The name must be free: it is not removed first.
    public static func listen(at path: String, backlog: Int32 = 64) throws(SystemError) -> OwnedDescriptor {
        let socket = try stream(path)
        let raw = socket.raw
        unsafe try withAddress(path) { address, length throws(SystemError) in
            // SAFETY: bind reads `length` bytes of the address during the call.
            try systemCall("bind", on: path) { unsafe bind(raw, address, length) }
        }
        try systemCall("listen", on: path) { Glibc.listen(raw, backlog) }
        return socket
    }

    /// socket(2) and connect(2); non-blocking. A listener whose backlog is full fails with EAGAIN instead of waiting.
    public static func connect(to path: String) throws(SystemError) -> OwnedDescriptor {
        let socket = try stream(path)
        let raw = socket.raw
        unsafe try withAddress(path) { address, length throws(SystemError) in
            // SAFETY: connect reads `length` bytes of the address during the call.
            try systemCall("connect", on: path) { unsafe Glibc.connect(raw, address, length) }
        }
        return socket
    }

    private static func stream(_ path: String) throws(SystemError) -> OwnedDescriptor {
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        return OwnedDescriptor(owning: try systemCall("socket", on: path) { socket(AF_UNIX, kind, 0) })
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
