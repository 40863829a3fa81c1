// File descriptors with one owner each.
import CLinux
import Glibc

/// A file descriptor that is closed when its owner goes away.
public struct OwnedDescriptor: ~Copyable, Sendable {
    public let raw: Int32

    /// Takes ownership of `raw`, which must be open and owned by nobody else.
    public init(owning raw: Int32) {
        self.raw = raw
    }

    deinit {
        // EINTR from close(2) on Linux has closed the descriptor all the same: never retried.
        close(raw)
    }

    /// Gives up ownership without closing.
    public consuming func release() -> Int32 {
        let raw = self.raw
        discard self
        return raw
    }

    /// open(2) with O_CLOEXEC.
    public static func open(_ path: String, _ flags: Int32, mode: UInt32 = 0) throws(SystemError) -> OwnedDescriptor {
        let raw = try systemCall("open", on: path) {
            // SAFETY: the string's buffer outlives the call.
            unsafe path.withCString { unsafe clinux_open($0, flags | O_CLOEXEC, mode) }
        }
        return OwnedDescriptor(owning: raw)
    }

    /// memfd_create(2), close-on-exec.
    public static func memory(named name: String) throws(SystemError) -> OwnedDescriptor {
        let raw = try systemCall("memfd_create", on: name) {
            // SAFETY: the string's buffer outlives the call.
            unsafe name.withCString { unsafe clinux_memfd_create($0, CLINUX_MFD_CLOEXEC) }
        }
        return OwnedDescriptor(owning: raw)
    }

    /// A connected pair of Unix stream sockets, close-on-exec; both non-blocking where `nonBlocking` says so.
    public static func socketPair(nonBlocking: Bool) throws(SystemError) -> SocketPair {
        try socketPair(of: Int32(SOCK_STREAM.rawValue) | (nonBlocking ? Int32(SOCK_NONBLOCK.rawValue) : 0))
    }

    /// One for `PacketSocket`, blocking, close-on-exec.
    public static func packetSocketPair() throws(SystemError) -> SocketPair { try socketPair(of: Int32(SOCK_SEQPACKET.rawValue)) }

    private static func socketPair(of kind: Int32) throws(SystemError) -> SocketPair {
        var pair: (Int32, Int32) = (-1, -1)
        try systemCall("socketpair") {
            // SAFETY: socketpair(2) writes exactly two ints, which is the tuple's size and layout.
            unsafe withUnsafeMutableBytes(of: &pair) {
                unsafe socketpair(AF_UNIX, kind | Int32(SOCK_CLOEXEC.rawValue), 0, $0.assumingMemoryBound(to: Int32.self).baseAddress)
            }
        }
        return SocketPair(first: OwnedDescriptor(owning: pair.0), second: OwnedDescriptor(owning: pair.1))
    }

    /// pipe(2), close-on-exec.
    public static func pipe() throws(SystemError) -> Pipe {
        var pair: (Int32, Int32) = (-1, -1)
        try systemCall("pipe") {
            // SAFETY: pipe(2) writes exactly two ints, which is the tuple's size and layout.
            unsafe withUnsafeMutableBytes(of: &pair) {
                unsafe clinux_pipe($0.assumingMemoryBound(to: Int32.self).baseAddress)
            }
        }
        return Pipe(reading: OwnedDescriptor(owning: pair.0), writing: OwnedDescriptor(owning: pair.1))
    }

    /// dup(2) with close-on-exec.
    public borrowing func duplicate() throws(SystemError) -> OwnedDescriptor {
        let raw = self.raw
        return OwnedDescriptor(owning: try systemCall("dup") { clinux_fcntl(raw, F_DUPFD_CLOEXEC, 0) })
    }

    /// dup(2) with close-on-exec of a descriptor that somebody else owns.
    public static func duplicate(of raw: Int32) throws(SystemError) -> OwnedDescriptor {
        OwnedDescriptor(owning: try systemCall("dup") { clinux_fcntl(raw, F_DUPFD_CLOEXEC, 0) })
    }

    /// Lets the descriptor survive execve(2).
    public borrowing func keepAcrossExec() throws(SystemError) {
        let raw = self.raw
        try systemCall("fcntl") { clinux_fcntl(raw, F_SETFD, 0) }
    }

    public borrowing func setNonBlocking() throws(SystemError) {
        let raw = self.raw
        let flags = try systemCall("fcntl") { clinux_fcntl(raw, F_GETFL, 0) }
        try systemCall("fcntl") { clinux_fcntl(raw, F_SETFL, flags | O_NONBLOCK) }
    }

    /// fstat(2).
    public borrowing func status() throws(SystemError) -> FileStatus { try FileStatus(of: raw) }
}

/// The two ends of socketpair(2), each to be given its own owner.
@frozen public struct SocketPair: ~Copyable, Sendable {
    public let first: OwnedDescriptor
    public let second: OwnedDescriptor

    init(first: consuming OwnedDescriptor, second: consuming OwnedDescriptor) {
        self.first = first
        self.second = second
    }
}

/// The two ends of pipe(2).
@frozen public struct Pipe: ~Copyable, Sendable {
    public let reading: OwnedDescriptor
    public let writing: OwnedDescriptor

    init(reading: consuming OwnedDescriptor, writing: consuming OwnedDescriptor) {
        self.reading = reading
        self.writing = writing
    }
}
