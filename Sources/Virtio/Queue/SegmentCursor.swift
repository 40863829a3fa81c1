// A position in a list of segments: what ChainReader and ChainWriter have in common.
import AddressSpace
import CLinux
import Glibc

/// What became of bytes between guest RAM and a descriptor.
public enum Transfer: Equatable, Sendable {
    /// So many bytes; 0 from a read is the end of the file or stream.
    case moved(Int)
    /// EAGAIN: nothing was moved.
    case wouldBlock
    /// The errno.
    case failed(Int32)
}

struct SegmentCursor {
    /// IOV_MAX of Linux.
    static let vectorLimit = 1024
    /// No single call moves more (Linux itself stops at 2 GiB).
    static let transferLimit: UInt64 = 1 << 30

    let memory: GuestMemory
    let segments: [Segment]
    private var index = 0
    /// Bytes of `segments[index]` that are behind us.
    private var offset: UInt64 = 0
    private(set) var remaining: UInt64

    init(memory: GuestMemory, segments: [Segment]) {
        self.memory = memory
        self.segments = segments
        remaining = segments.reduce(0) { $0 + $1.count }
    }

    /// Hides what lies beyond `count` bytes from here.
    mutating func limit(to count: UInt64) { remaining = min(remaining, count) }

    /// Steps over `count` bytes, or what is left.
    mutating func advance(_ count: UInt64) {
        var left = min(count, remaining)
        remaining -= left
        while left > 0 {
            let step = min(left, segments[index].count - offset)
            offset += step
            left -= step
            if offset == segments[index].count {
                index += 1
                offset = 0
            }
        }
    }

    /// Passes on contiguous pieces of the next `count` bytes (at most what is left) and steps over them.
    mutating func pieces(_ count: UInt64, _ body: (GuestAddress, UInt64) throws(GuestMemoryError) -> Void) throws(VirtioError) {
        var left = min(count, remaining)
        while left > 0 {
            let segment = segments[index]
            let step = min(left, segment.count - offset)
            // A segment that wraps would start at a small address again: that is no RAM of this segment.
            guard let address = segment.address.advanced(by: offset) else { throw .memory(.outOfRange(segment.address, count: segment.count)) }
            try accessing { () throws(GuestMemoryError) in try body(address, step) }
            advance(step)
            left -= step
        }
    }

    /// Hands the next `count` bytes at most to a vectored system call and steps over what it moved.
    mutating func transfer(atMost count: UInt64, _ call: (UnsafePointer<iovec>, Int) -> Int) throws(VirtioError) -> Transfer {
        var vectors: [iovec] = unsafe []
        var ahead = self
        ahead.limit(to: min(count, SegmentCursor.transferLimit))
        var room = SegmentCursor.vectorLimit
        while ahead.remaining > 0, room > 0 {
            let step = min(ahead.remaining, ahead.segments[ahead.index].count - ahead.offset)
            try ahead.pieces(step) { (address, count) throws(GuestMemoryError) in
                unsafe vectors.append(try memory.ioVector(address, count: Int(count)))
            }
            room -= 1
        }
        guard unsafe !vectors.isEmpty else { return .moved(0) }
        while true {
            // SAFETY: each vector is a bounds-checked range of guest RAM, which the kernel alone touches; the list outlives the call.
            let result = unsafe vectors.withUnsafeBufferPointer { list in
                unsafe list.baseAddress.map { unsafe call($0, list.count) } ?? 0
            }
            if result >= 0 {
                advance(UInt64(result))
                return .moved(result)
            }
            let code = clinux_errno()
            if code == EINTR { continue }
            return code == EAGAIN ? .wouldBlock : .failed(code)
        }
    }
}
