// A device's side of its limits: what waits for tokens, and the timer that says when they are there.
public import LinuxSystem

/// Limits, perhaps shared, and the timer of one device. The device shows the timer as its poll descriptor and asks again when it is readable.
public final class Throttle {
    let limiter: SharedRateLimiter
    private let timer: TimerDescriptor
    /// What the timer is set to.
    private var armed: UInt64?

    public init(_ limiter: SharedRateLimiter) throws(SystemError) {
        self.limiter = limiter
        timer = try TimerDescriptor()
    }

    var descriptor: Int32 { timer.raw }

    /// The timer has been seen to be readable.
    func fired() {
        timer.drain()
        armed = nil
    }

    /// Has the device called again at this moment; an earlier one stays.
    func wake(noLaterThan moment: UInt64) { wake(at: min(armed ?? moment, moment)) }

    /// Has the device called again at this moment, nil: not at all.
    func wake(at moment: UInt64?) {
        guard moment != armed else { return }
        timer.set(moment)
        armed = moment
    }
}
