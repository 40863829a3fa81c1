// fstatvfs(3), as far as the project asks.
import Glibc

/// The space of the file system that a file is on.
public struct FileSystemSpace: Equatable, Sendable {
    /// In bytes.
    public let total: UInt64
    /// What an ordinary user may still take, in bytes.
    public let available: UInt64

    public init(of file: borrowing OwnedDescriptor) throws(SystemError) {
        let descriptor = file.raw
        var status = statvfs()
        // SAFETY: fstatvfs writes one `statvfs`.
        try systemCall("fstatvfs") { unsafe fstatvfs(descriptor, &status) }
        let unit = UInt64(status.f_frsize)
        total = UInt64(status.f_blocks).multipliedReportingOverflow(by: unit).partialValue
        available = UInt64(status.f_bavail).multipliedReportingOverflow(by: unit).partialValue
    }
}
