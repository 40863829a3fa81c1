// Reading what the driver sent: by copy, or from guest RAM straight to a descriptor.
import AddressSpace
import CLinux
import Glibc

/// A position in the device-readable part of a chain.
public struct ChainReader {
    var cursor: SegmentCursor

    /// Bytes from here to the end.
    public var remaining: UInt64 { cursor.remaining }

    /// Hides what lies beyond `count` bytes from here.
    public mutating func limit(to count: UInt64) { cursor.limit(to: count) }

    /// Copies a little-endian structure out; nil if fewer bytes are left. `Value` must have no padding that matters.
    public mutating func read<Value: BitwiseCopyable>(into value: inout Value) throws(VirtioError) -> Bool {
        let size = MemoryLayout<Value>.size
        guard remaining >= UInt64(size) else { return false }
        let memory = cursor.memory
        var done = 0
        try cursor.pieces(UInt64(size)) { (address, count) throws(GuestMemoryError) in
            var failure: GuestMemoryError?
            // SAFETY: the pieces add up to `size`, so each lands inside `value`; any bit pattern is a valid BitwiseCopyable of integers.
            unsafe withUnsafeMutableBytes(of: &value) { bytes in
                do throws(GuestMemoryError) {
                    let part = unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[done..<done + Int(count)])
                    unsafe try memory.read(into: part, at: address)
                } catch { failure = error }
            }
            if let failure { throw failure }
            done += Int(count)
        }
        return true
    }

    /// Copies out the next `count` bytes, or what is left.
    public mutating func bytes(_ count: Int) throws(VirtioError) -> [UInt8] {
        let memory = cursor.memory
        var result: [UInt8] = []
        result.reserveCapacity(Int(min(UInt64(count), remaining)))
        try cursor.pieces(UInt64(count)) { (address, count) throws(GuestMemoryError) in
            result.append(contentsOf: try memory.read(Int(count), at: address))
        }
        return result
    }

    /// pwritev(2) of at most `count` bytes.
    public mutating func write(to descriptor: Int32, offset: UInt64, atMost count: UInt64) throws(VirtioError) -> Transfer {
        unsafe try cursor.transfer(atMost: count) { unsafe pwritev(descriptor, $0, Int32($1), Int(bitPattern: UInt(offset))) }
    }

    /// sendmsg(2) of at most `count` bytes to a stream socket: never blocks, never raises SIGPIPE.
    public mutating func send(to socket: Int32, atMost count: UInt64 = .max) throws(VirtioError) -> Transfer {
        unsafe try cursor.transfer(atMost: count) { unsafe clinux_send_vectors(socket, $0, $1) }
    }
}
