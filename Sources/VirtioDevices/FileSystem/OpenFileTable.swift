// The files that a driver has open.
import LinuxSystem

struct OpenFileTable {
    private let limit: Int
    private var files: [UInt64: SharedDescriptor] = [:]
    /// Never used twice.
    private var next: UInt64 = 1

    /// `limit`: how many there may be.
    init(limit: Int) { self.limit = limit }

    var isFull: Bool { files.count >= limit }

    subscript(_ handle: UInt64) -> Int32? { files[handle]?.raw }

    /// Returns its handle.
    mutating func insert(_ file: SharedDescriptor) -> UInt64 {
        files[next] = file
        defer { next += 1 }
        return next
    }

    mutating func close(_ handle: UInt64) { files[handle] = nil }

    mutating func closeAll() { files = [:] }
}
