// Arguments and environments as execve(2) takes them.
import Glibc

/// A NULL-terminated vector of C strings.
public struct CStringVector {
    private let strings: [[UInt8]]

    /// Strings without NUL characters.
    public init(_ strings: [[UInt8]]) { self.strings = strings }

    /// Calls `body` with the vector, which is gone afterwards.
    public func use<Result>(_ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result) -> Result {
        // SAFETY: every string is duplicated with its terminator, and freed after `body`, which must not keep the pointers.
        var pointers = unsafe strings.map { string in
            unsafe (string.map { CChar(bitPattern: $0) } + [0]).withUnsafeBufferPointer { unsafe $0.baseAddress.flatMap { unsafe strdup($0) } }
        }
        unsafe pointers.append(nil)
        defer { unsafe pointers.forEach { unsafe free($0) } }
        return unsafe pointers.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { preconditionFailure("a terminated vector has an address") }
            return unsafe body(base)
        }
    }
}
