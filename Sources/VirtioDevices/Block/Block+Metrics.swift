// What the block device counts.
import LinuxSystem
import Synchronization

/// Plain counters, read under the transport's mutex (`MMIOTransport.withDevice`).
public struct BlockMetrics: Equatable, Sendable {
    public init() {}

    /// Requests by how they ended.
    public internal(set) var succeeded: UInt64 = 0
    public internal(set) var failed: UInt64 = 0
    public internal(set) var unsupported: UInt64 = 0
    public internal(set) var bytesRead: UInt64 = 0
    public internal(set) var bytesWritten: UInt64 = 0
    public internal(set) var flushes: UInt64 = 0
    /// Discarded and zeroed ranges.
    public internal(set) var ranges: UInt64 = 0
    /// Requests whose buffers are no RAM.
    public internal(set) var badBuffers: UInt64 = 0
    /// Requests that waited for their limits, and reads that waited for the host's disk.
    public internal(set) var limited: UInt64 = 0
    public internal(set) var late: UInt64 = 0
    /// System calls that failed.
    public internal(set) var hostErrors: UInt64 = 0

    mutating func count(_ status: BlockStatus) {
        switch status {
        case .ok: succeeded += 1
        case .ioError: failed += 1
        case .unsupported: unsupported += 1
        }
    }
}

/// A host that failed a disk: the guest sees an I/O error and can't know why.
public struct BlockHostFailure: Error, Equatable, CustomStringConvertible {
    public enum Operation: String, Sendable {
        case read = "read"
        case write = "write"
        case flush = "flush"
        case discard = "discard"
        case writeZeroes = "write zeroes"
    }

    public let disk: String
    public let operation: Operation
    /// On the device, in bytes.
    public let position: UInt64
    public let errno: Int32

    public var description: String {
        let cause = SystemError(call: operation.rawValue, subject: "at byte \(position)", errno: errno)
        return "disk \(disk): \(cause)"
    }
}

/// The first thing that the host could not do for a disk. Readable without waiting for the disk.
public final class BlockFailureRecord: Sendable {
    private let failure = Mutex<BlockHostFailure?>(nil)

    public var first: BlockHostFailure? { failure.withLock { $0 } }

    func record(_ next: BlockHostFailure) { failure.withLock { if $0 == nil { $0 = next } } }
}
