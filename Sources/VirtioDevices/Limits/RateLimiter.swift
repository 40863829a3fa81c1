// How much a device may do: bytes and operations, each with a bucket of its own.
import Synchronization

/// Limits of one direction; nil: none.
public struct RateLimits: Equatable, Sendable {
    public var bytes: Allowance?
    public var operations: Allowance?

    public init(bytes: Allowance? = nil, operations: Allowance? = nil) {
        self.bytes = bytes
        self.operations = operations
    }

    public var isUnlimited: Bool { bytes == nil && operations == nil }
}

/// Two buckets that a request takes from together: both have what it needs, or neither gives.
public struct RateLimiter: Equatable, Sendable {
    private var bytes: TokenBucket?
    private var operations: TokenBucket?

    public init(_ limits: RateLimits) {
        bytes = limits.bytes.map { TokenBucket($0) }
        operations = limits.operations.map { TokenBucket($0) }
    }

    /// Nil: the operation may begin, and its tokens are taken. Otherwise the moment to ask again, in nanoseconds of the clock of `now`.
    public mutating func admit(bytes count: UInt64, now: UInt64) -> UInt64? {
        let moment = max(bytes?.moment(for: count, now: now) ?? now, operations?.moment(for: 1, now: now) ?? now)
        if moment > now { return moment }
        bytes?.take(count, now: now)
        operations?.take(1, now: now)
        return nil
    }
}

/// Limits for reading and for writing that several devices may share.
public final class SharedRateLimiter: Sendable {
    public enum Direction: Sendable {
        case reading
        case writing
    }

    private let reading: Mutex<RateLimiter>
    private let writing: Mutex<RateLimiter>
    private let clock: @Sendable () -> UInt64

    /// `clock` gives nanoseconds of CLOCK_MONOTONIC; tests have their own.
    public init(reading: RateLimits, writing: RateLimits, clock: @escaping @Sendable () -> UInt64) {
        self.reading = Mutex(RateLimiter(reading))
        self.writing = Mutex(RateLimiter(writing))
        self.clock = clock
    }

    /// As `RateLimiter.admit`, now.
    public func admit(_ direction: Direction, bytes: UInt64) -> UInt64? {
        let now = clock()
        return switch direction {
        case .reading: reading.withLock { $0.admit(bytes: bytes, now: now) }
        case .writing: writing.withLock { $0.admit(bytes: bytes, now: now) }
        }
    }
}
