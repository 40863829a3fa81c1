// timerfd(2): a moment that epoll can wait for.
import CLinux
import Glibc

/// A timer of CLOCK_MONOTONIC, set for one moment at a time.
public struct TimerDescriptor: ~Copyable, Sendable {
    public let descriptor: OwnedDescriptor

    public init() throws(SystemError) {
        let raw = try systemCall("timerfd_create") { clinux_timer_create() }
        descriptor = OwnedDescriptor(owning: raw)
    }

    public var raw: Int32 { descriptor.raw }

    /// Becomes readable at `nanoseconds` of CLOCK_MONOTONIC, at once if that is past; nil: never. Replaces what was set before, and what was readable is no more.
    public borrowing func set(_ nanoseconds: UInt64?) {
        // Zero would mean "never" to the kernel. It can't fail: the values are in range, and the descriptor is ours.
        clinux_timer_set(descriptor.raw, nanoseconds.map { min(max($0, 1), UInt64(Int64.max)) } ?? 0)
    }

    /// Makes it unreadable until it is set again.
    public borrowing func drain() {
        var expirations: UInt64 = 0
        // SAFETY: read(2) writes at most the eight bytes of the counter.
        _ = unsafe read(descriptor.raw, &expirations, MemoryLayout<UInt64>.size)
    }
}
