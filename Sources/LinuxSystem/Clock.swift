// CLOCK_MONOTONIC.
import Glibc

/// Nanoseconds of CLOCK_MONOTONIC.
public func monotonicNanoseconds() -> UInt64 {
    var time = timespec()
    // SAFETY: clock_gettime fills one timespec; CLOCK_MONOTONIC always exists.
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
