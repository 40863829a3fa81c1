// Writing what the driver will read: by copy, or from a descriptor straight into guest RAM.
import AddressSpace
import CLinux
import Glibc

/// A position in the device-writable part of a chain. How much was written is what the used ring reports.
public struct ChainWriter {
    var cursor: SegmentCursor

    /// Bytes from here to the end.
    public var remaining: UInt64 { cursor.remaining }

    /// Hides what lies beyond `count` bytes from here.
    public mutating func limit(to count: UInt64) { cursor.limit(to: count) }

    public mutating func skip(_ count: UInt64) { cursor.advance(count) }

    /// Copies a little-endian structure in; false (and nothing written) if there is too little room. `Value` must have no padding.
    public mutating func write<Value: BitwiseCopyable>(_ value: Value) throws(VirtioError) -> Bool {
        let size = MemoryLayout<Value>.size
        guard remaining >= UInt64(size) else { return false }
        let memory = cursor.memory
        var done = 0
        try cursor.pieces(UInt64(size)) { (address, count) throws(GuestMemoryError) in
            var failure: GuestMemoryError?
            // SAFETY: the pieces add up to `size`, so each comes from inside `value`.
            unsafe withUnsafeBytes(of: value) { bytes in
                do throws(GuestMemoryError) {
                    let part = unsafe UnsafeRawBufferPointer(rebasing: bytes[done..<done + Int(count)])
                    unsafe try memory.write(from: part, at: address)
                } catch { failure = error }
            }
            if let failure { throw failure }
            done += Int(count)
        }
        return true
    }

    /// Copies in as many of `bytes` as there is room for, and says how many.
    public mutating func write(bytes: [UInt8]) throws(VirtioError) -> Int {
        let memory = cursor.memory
        var done = 0
        try cursor.pieces(UInt64(bytes.count)) { (address, count) throws(GuestMemoryError) in
            try memory.write(Array(bytes[done..<done + Int(count)]), at: address)
            done += Int(count)
        }
        return done
    }

    /// Fills the next `count` bytes, or what is left, with zeros.
    public mutating func zero(_ count: UInt64) throws(VirtioError) {
        let memory = cursor.memory
        try cursor.pieces(count) { (address, count) throws(GuestMemoryError) in try memory.zero(address, count: count) }
    }

    /// preadv(2) of at most `count` bytes.
    public mutating func read(from descriptor: Int32, offset: UInt64, atMost count: UInt64) throws(VirtioError) -> Transfer {
        unsafe try cursor.transfer(atMost: count) { unsafe preadv(descriptor, $0, Int32($1), Int(bitPattern: UInt(offset))) }
    }

    /// The same with what is in the host's memory (RWF_NOWAIT): the rest is asked of the disk and would have to be waited for, which is `wouldBlock` where it is all.
    /// EOPNOTSUPP: the file system can't do that.
    public mutating func readWithoutWaiting(from descriptor: Int32, offset: UInt64, atMost count: UInt64) throws(VirtioError) -> Transfer {
        unsafe try cursor.transfer(atMost: count) { unsafe clinux_preadv_no_wait(descriptor, $0, Int32($1), Int(bitPattern: UInt(offset))) }
    }

    /// readv(2) of at most `count` bytes.
    public mutating func read(from descriptor: Int32, atMost count: UInt64 = .max) throws(VirtioError) -> Transfer {
        unsafe try cursor.transfer(atMost: count) { unsafe readv(descriptor, $0, Int32($1)) }
    }

    /// recvmsg(2) of at most `count` bytes from a socket: never blocks.
    public mutating func receive(from socket: Int32, atMost count: UInt64 = .max) throws(VirtioError) -> Transfer {
        unsafe try cursor.transfer(atMost: count) { unsafe clinux_receive_vectors(socket, $0, $1) }
    }
}
