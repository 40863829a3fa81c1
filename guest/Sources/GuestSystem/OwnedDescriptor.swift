// File descriptors with one owner each.
internal import CGuest

/// A file descriptor that is closed when its owner goes away.
@frozen public struct OwnedDescriptor: ~Copyable {
    public let raw: Int32

    /// Takes ownership of `raw`, which must be open and owned by nobody else.
    public init(owning raw: Int32) { self.raw = raw }

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
    @inline(never) public static func open(_ path: CPath, _ flags: Int32, mode: UInt32 = 0) throws(SystemError) -> OwnedDescriptor {
        // SAFETY: the C string outlives the call.
        OwnedDescriptor(owning: try systemCall { unsafe path.use { unsafe guest_open($0, flags | O_CLOEXEC, mode) } })
    }

    /// pipe2(2), close-on-exec, blocking.
    @inline(never) public static func pipe() throws(SystemError) -> DescriptorPair {
        var ends: (Int32, Int32) = (-1, -1)
        // SAFETY: pipe2 writes two ints, which is the tuple's size and layout.
        try systemCall { unsafe withUnsafeMutableBytes(of: &ends) { unsafe pipe2($0.assumingMemoryBound(to: Int32.self).baseAddress, O_CLOEXEC) } }
        return DescriptorPair(first: OwnedDescriptor(owning: ends.0), second: OwnedDescriptor(owning: ends.1))
    }

    /// socketpair(2) of packets that keep their boundaries, close-on-exec, blocking.
    @inline(never) public static func packetPair() throws(SystemError) -> DescriptorPair {
        var ends: (Int32, Int32) = (-1, -1)
        // SAFETY: socketpair writes two ints, which is the tuple's size and layout.
        try systemCall {
            unsafe withUnsafeMutableBytes(of: &ends) {
                unsafe socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, $0.assumingMemoryBound(to: Int32.self).baseAddress)
            }
        }
        return DescriptorPair(first: OwnedDescriptor(owning: ends.0), second: OwnedDescriptor(owning: ends.1))
    }

    /// A file in memory with these bytes, to be read from its beginning (memfd_create(2)); close-on-exec.
    @inline(never) public static func memory(_ bytes: [UInt8]) throws(SystemError) -> OwnedDescriptor {
        let file = OwnedDescriptor(owning: try systemCall { guest_memory_file() })
        try InputOutput.writeAll(file.raw, bytes)
        try FileSystem.seek(file.raw, to: 0)
        return file
    }

    public borrowing func setNonBlocking() {
        _ = guest_fcntl(raw, F_SETFL, guest_fcntl(raw, F_GETFL, 0) | O_NONBLOCK)
    }
}

/// The two ends of a pipe (first reads, second writes) or of a socket pair.
public struct DescriptorPair: ~Copyable {
    public let first: OwnedDescriptor
    public let second: OwnedDescriptor

    init(first: consuming OwnedDescriptor, second: consuming OwnedDescriptor) {
        self.first = first
        self.second = second
    }

    /// Parts the ends, each to its own owner.
    public consuming func use<Value: ~Copyable, Failure>(
        _ body: (consuming OwnedDescriptor, consuming OwnedDescriptor) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        try body(first, second)
    }
}
