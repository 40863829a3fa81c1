// What the file system device counts.

public struct FileSystemMetrics: Equatable, Sendable {
    public init() {}

    public internal(set) var requests: UInt64 = 0
    public internal(set) var bytesRead: UInt64 = 0
    public internal(set) var bytesWritten: UInt64 = 0
}
