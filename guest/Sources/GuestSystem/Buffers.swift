// Memory for reading block devices past the page cache.
internal import CGuest

/// Page-aligned memory, as O_DIRECT wants it (open(2)).
@safe public final class AlignedBuffer {
    public let count: Int
    private let start: UnsafeMutableRawPointer

    /// `count` bytes, or nil when there is no memory.
    public init?(count: Int) {
        var pointer: UnsafeMutableRawPointer?
        // SAFETY: on success the pointer is to `count` bytes that this object owns until deinit.
        guard unsafe posix_memalign(&pointer, 4096, count) == 0, let start = unsafe pointer else { return nil }
        self.count = count
        unsafe self.start = start
    }

    deinit { unsafe free(start) }

    /// pread(2) of at most `limit` bytes.
    public func fill(from descriptor: Int32, at offset: UInt64, limit: Int) throws(SystemError) -> Int {
        precondition(limit <= count, "read outside of the buffer")
        // SAFETY: limit was checked against the buffer.
        return try systemCall { unsafe pread(descriptor, start, limit, Int(offset)) }
    }

    public subscript(index: Int) -> UInt8 {
        precondition(index >= 0 && index < count, "index outside of the buffer")
        // SAFETY: the index was checked against the buffer.
        return unsafe start.load(fromByteOffset: index, as: UInt8.self)
    }

    /// The memory itself, for the libraries that read it; valid while the buffer lives.
    public func withBytes<Value, Failure>(_ range: Range<Int>, _ body: (UnsafeRawBufferPointer) throws(Failure) -> Value) throws(Failure) -> Value {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "range outside of the buffer")
        // SAFETY: the range was checked against the buffer.
        return try unsafe body(UnsafeRawBufferPointer(start: start + range.lowerBound, count: range.count))
    }
}
