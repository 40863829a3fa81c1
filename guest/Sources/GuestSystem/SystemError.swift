// Failed system calls.
internal import CGuest

/// What errno(3) said.
public struct SystemError: Error, Equatable {
    public let code: Int32

    public init(code: Int32) { self.code = code }

    public static var last: SystemError { SystemError(code: guest_errno()) }

    public static let notFound = SystemError(code: ENOENT)
    public static let exists = SystemError(code: EEXIST)
    public static let notDirectory = SystemError(code: ENOTDIR)
    public static let isDirectory = SystemError(code: EISDIR)
    public static let accessDenied = SystemError(code: EACCES)
    public static let notPermitted = SystemError(code: EPERM)
    public static let wouldBlock = SystemError(code: EAGAIN)
    public static let interrupted = SystemError(code: EINTR)
    public static let noSpace = SystemError(code: ENOSPC)
    public static let quota = SystemError(code: EDQUOT)
    public static let noMemory = SystemError(code: ENOMEM)
    public static let notSupported = SystemError(code: EOPNOTSUPP)
    public static let invalid = SystemError(code: EINVAL)
    public static let inputOutput = SystemError(code: EIO)
    public static let noExecutable = SystemError(code: ENOEXEC)
    public static let notEmpty = SystemError(code: ENOTEMPTY)
    public static let tooLong = SystemError(code: E2BIG)
    public static let noProcess = SystemError(code: ESRCH)

    /// Not the kernel's: it refused a seccomp filter.
    public static let badFilter = SystemError(code: 4096)

    /// As strerror(3) says it.
    public var explanation: [UInt8] {
        // SAFETY: strerror returns a C string with static storage in musl.
        unsafe bytes(of: strerror(code))
    }
}

/// The bytes of a C string, without its NUL; none for a null pointer.
func bytes(of string: UnsafePointer<CChar>?) -> [UInt8] {
    guard let string = unsafe string else { return [] }
    var bytes: [UInt8] = []
    var index = 0
    // SAFETY: reads up to the terminating NUL and no further.
    while unsafe string[index] != 0 {
        unsafe bytes.append(UInt8(bitPattern: string[index]))
        index += 1
    }
    return bytes
}

/// Negative results become errors. EINTR is not retried because it can't happen: no process of the agent's has a signal handler (signal(7)).
@discardableResult
public func systemCall(_ body: () -> Int32) throws(SystemError) -> Int32 {
    let result = body()
    if result < 0 { throw .last }
    return result
}

/// The same for calls that count bytes.
@discardableResult
public func systemCall(_ body: () -> Int) throws(SystemError) -> Int {
    let result = body()
    if result < 0 { throw .last }
    return result
}
