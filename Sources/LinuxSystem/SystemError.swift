// The one seam through which system calls report failure, and the one place that retries EINTR.
import CLinux
import Glibc

/// A failed system call: which one, on what, and the errno it left.
public struct SystemError: Error, Equatable, CustomStringConvertible {
    public let call: String
    public let subject: String
    public let errno: Int32

    public init(call: String, subject: String = "", errno: Int32) {
        self.call = call
        self.subject = subject
        self.errno = errno
    }

    /// The error text of `strerror(3)`.
    public var reason: String {
        // SAFETY: strerror_r writes a NUL-terminated text of at most `count` bytes into the buffer, which outlives the copy.
        unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
            guard let base = buffer.baseAddress, unsafe strerror_r(errno, base, buffer.count) == 0 else {
                return "error \(errno)"
            }
            return unsafe String(cString: base)
        }
    }

    public var description: String {
        subject.isEmpty ? "\(call): \(reason)" : "\(call) \(subject): \(reason)"
    }
}

/// Runs `body` until it doesn't fail with EINTR; a negative result becomes a `SystemError`.
///
/// Every system call of the project that can be interrupted goes through here, and through here only.
@discardableResult
public func systemCall(
    _ call: @autoclosure () -> String, on subject: @autoclosure () -> String = "", _ body: () -> Int32
) throws(SystemError) -> Int32 {
    try retrying(call, on: subject, body)
}

/// The same for calls that return counts.
@discardableResult
public func systemCall(
    _ call: @autoclosure () -> String, on subject: @autoclosure () -> String = "", _ body: () -> Int
) throws(SystemError) -> Int {
    try retrying(call, on: subject, body)
}

// Not generic outside of this module, where nothing would make a version of it for the type at hand.
@inline(__always)
private func retrying<Result: SignedInteger>(
    _ call: () -> String, on subject: () -> String, _ body: () -> Result
) throws(SystemError) -> Result {
    #if DEBUG
        if let code = HostFailure.strike() { throw SystemError(call: call(), subject: subject(), errno: code) }
    #endif
    while true {
        let result = body()
        if result >= 0 { return result }
        let code = clinux_errno()
        if code != EINTR {
            throw SystemError(call: call(), subject: subject(), errno: code)
        }
    }
}
