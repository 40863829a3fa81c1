// Limits of the launch configuration as limiters of devices.
import LaunchConfiguration
import LinuxSystem
import VirtioDevices

/// One limiter for each group of disks that share their limits.
struct DiskLimiters {
    private var groups: [UInt32: SharedRateLimiter] = [:]

    /// Nil for a disk without limits.
    mutating func throttle(for disk: Disk) throws(SystemError) -> Throttle? {
        guard let limits = disk.limits else { return nil }
        let limiter =
            groups[limits.group]
            ?? SharedRateLimiter(reading: RateLimits(limits.reading), writing: RateLimits(limits.writing), clock: monotonicNanoseconds)
        groups[limits.group] = limiter
        return try Throttle(limiter)
    }
}

extension RateLimits {
    fileprivate init(_ limits: ThroughputLimits) {
        self.init(bytes: limits.bytes.map(Allowance.init), operations: limits.operations.map(Allowance.init))
    }
}

extension Allowance {
    fileprivate init(_ limit: RateLimit) { self.init(rate: limit.rate, capacity: limit.capacity, burst: limit.burst) }
}
