// Reading and writing whole buffers through descriptors that somebody else owns.
import CLinux
import Glibc

/// Reads once into `buffer`; 0 means end of file.
public func readSome(_ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer) throws(SystemError) -> Int {
    // SAFETY: the kernel writes at most `count` bytes into the caller's buffer.
    try systemCall("read") { unsafe read(descriptor, buffer.baseAddress, buffer.count) }
}

/// Reads up to `limit` bytes from the current offset to the end of the file.
public func readAll(_ descriptor: Int32, limit: Int) throws(SystemError) -> [UInt8] {
    var result: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16384)
    while result.count < limit {
        let wanted = min(chunk.count, limit - result.count)
        var failure: SystemError?
        var count = 0
        // SAFETY: the buffer is the array's own storage and outlives the call.
        unsafe chunk.withUnsafeMutableBytes { buffer in
            do throws(SystemError) {
                count = unsafe try readSome(descriptor, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted]))
            } catch { failure = error }
        }
        if let failure { throw failure }
        if count == 0 { break }
        result.append(contentsOf: chunk[..<count])
    }
    return result
}

/// Writes all of `bytes`, however many calls it takes.
public func writeAll(_ descriptor: Int32, _ bytes: [UInt8]) throws(SystemError) {
    var failure: SystemError?
    // SAFETY: the buffer is the array's own storage and outlives the call.
    unsafe bytes.withUnsafeBytes { buffer in
        do throws(SystemError) { unsafe try writeAll(descriptor, buffer) } catch { failure = error }
    }
    if let failure { throw failure }
}

/// The same of memory that the caller keeps meanwhile.
public func writeAll(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) throws(SystemError) {
    var offset = 0
    while offset < bytes.count {
        let start = offset
        // SAFETY: the pointer and count stay inside the buffer.
        offset += try systemCall("write") { unsafe write(descriptor, bytes.baseAddress?.advanced(by: start), bytes.count - start) }
    }
}

/// Writes a line to standard error in one call, so that lines of several processes don't mix. Failure is ignored: there is nowhere to report it.
public func printError(_ line: String) {
    try? writeAll(STDERR_FILENO, Array(withoutControls(line).utf8) + [0x0A])
}

/// The text as a terminal may see it: guests and images have their words in messages, and control characters (C0, DEL and C1) would be commands. Lines and tabs stay.
public func withoutControls(_ text: String) -> String {
    let isControl = { (scalar: Unicode.Scalar) in scalar.value < 0x20 && scalar != "\n" && scalar != "\t" || (0x7F...0x9F).contains(scalar.value) }
    guard text.unicodeScalars.contains(where: isControl) else { return text }
    var clean = String.UnicodeScalarView()
    for scalar in text.unicodeScalars { clean.append(isControl(scalar) ? "?" : scalar) }
    return String(clean)
}
