// pread(2) and pwrite(2): reading and writing at an offset, without moving the file's own.
import CLinux
import Glibc

/// Reads up to `count` bytes from `offset`; fewer only at the end of the file.
public func readAt(_ descriptor: Int32, offset: UInt64, count: Int) throws(SystemError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var filled = 0
    while filled < count {
        let start = filled
        let got = try systemCall("pread") {
            // SAFETY: the kernel writes at most `count - start` bytes behind the first `start` of the array.
            unsafe bytes.withUnsafeMutableBytes {
                unsafe pread(descriptor, $0.baseAddress?.advanced(by: start), count - start, Int(offset) + start)
            }
        }
        if got == 0 { break }
        filled += got
    }
    bytes.removeLast(count - filled)
    return bytes
}

/// Writes all of `bytes` at `offset`.
public func writeAt(_ descriptor: Int32, offset: UInt64, _ bytes: [UInt8]) throws(SystemError) {
    var written = 0
    while written < bytes.count {
        let start = written
        written += try systemCall("pwrite") {
            // SAFETY: the pointer and count stay inside the array for the duration of the call.
            unsafe bytes.withUnsafeBytes {
                unsafe pwrite(descriptor, $0.baseAddress?.advanced(by: start), bytes.count - start, Int(offset) + start)
            }
        }
    }
}
