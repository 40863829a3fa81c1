// Reading and writing descriptors.
internal import CGuest

public enum InputOutput {
    /// read(2) into `buffer` from `start` on; at most `count` bytes.
    @inline(never) public static func read(_ descriptor: Int32, into buffer: inout [UInt8], from start: Int = 0, count: Int) throws(SystemError)
        -> Int
    {
        precondition(start >= 0 && count >= 0 && start + count <= buffer.count, "read outside of the buffer")
        // SAFETY: start and count were checked against the buffer.
        return try systemCall {
            unsafe buffer.withUnsafeMutableBytes { unsafe CGuest.read(descriptor, $0.baseAddress.unsafelyUnwrapped + start, count) }
        }
    }

    /// write(2); may write less than `range`.
    @inline(never) public static func write(_ descriptor: Int32, _ buffer: [UInt8], _ range: Range<Int>) throws(SystemError) -> Int {
        precondition(range.lowerBound >= 0 && range.upperBound <= buffer.count, "write outside of the buffer")
        if range.isEmpty { return 0 }
        // SAFETY: the range was checked against the buffer.
        return try systemCall {
            unsafe buffer.withUnsafeBytes { unsafe CGuest.write(descriptor, $0.baseAddress.unsafelyUnwrapped + range.lowerBound, range.count) }
        }
    }

    /// write(2) until everything is written.
    @inline(never) public static func writeAll(_ descriptor: Int32, _ bytes: [UInt8]) throws(SystemError) {
        var done = 0
        while done < bytes.count { done += try write(descriptor, bytes, done..<bytes.count) }
    }

    /// One byte at `offset`: how a value gets out of an I/O port of /dev/port.
    @inline(never) public static func writeByte(_ descriptor: Int32, _ byte: UInt8, at offset: Int64) {
        // SAFETY: the pointer is to one byte that outlives the call.
        _ = unsafe withUnsafeBytes(of: byte) { unsafe pwrite(descriptor, $0.baseAddress, 1, Int(offset)) }
    }

    /// Everything in the file, at most `limit` bytes of it.
    @inline(never) public static func contents(of path: CPath, atMost limit: Int) throws(SystemError) -> [UInt8] {
        let file = try OwnedDescriptor.open(path, O_RDONLY | O_NOCTTY)
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while bytes.count < limit {
            let count = try read(file.raw, into: &buffer, count: buffer.count)
            if count == 0 { break }
            bytes += buffer[..<count]
        }
        return bytes
    }

    /// Sends one packet with at most one descriptor.
    @inline(never) public static func send(_ socket: Int32, _ bytes: [UInt8], descriptor: Int32 = -1) throws(SystemError) {
        // SAFETY: the buffer outlives the call, which reads exactly its length.
        try systemCall { unsafe bytes.withUnsafeBytes { unsafe guest_send(socket, $0.baseAddress, $0.count, descriptor) } }
    }

    /// A packet, without its rest beyond `limit` bytes, and the descriptor that came with it (-1: none). No bytes: the other end is closed.
    @inline(never) public static func receive(_ socket: Int32, atMost limit: Int) throws(SystemError) -> (bytes: [UInt8], descriptor: Int32) {
        var buffer = [UInt8](repeating: 0, count: limit)
        var descriptor: Int32 = -1
        // SAFETY: recvmsg writes at most the buffer's length, and one int.
        let count = try systemCall { unsafe buffer.withUnsafeMutableBytes { unsafe guest_receive(socket, $0.baseAddress, $0.count, &descriptor) } }
        return (Array(buffer[..<count]), descriptor)
    }
}
