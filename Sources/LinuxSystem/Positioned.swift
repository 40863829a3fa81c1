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

/// Reads once from `offset` into `buffer`; 0 means end of file.
public func readAt(_ descriptor: Int32, offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(SystemError) -> Int {
    // SAFETY: the kernel writes at most `count` bytes into the caller's buffer.
    try systemCall("pread") { unsafe pread(descriptor, buffer.baseAddress, buffer.count, Int(offset)) }
}

/// Writes once at `offset`, perhaps not all of `bytes`; returns how many were written.
public func writeAt(_ descriptor: Int32, offset: UInt64, some bytes: UnsafeRawBufferPointer) throws(SystemError) -> Int {
    // SAFETY: the kernel reads at most `count` bytes from the caller's buffer.
    try systemCall("pwrite") { unsafe pwrite(descriptor, bytes.baseAddress, bytes.count, Int(offset)) }
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
