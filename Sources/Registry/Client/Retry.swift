// When to try again: back-off that doubles, a little spread so that many clients don't come back at once, and the server's own wish.
import Glibc

struct Retry {
    /// How often something is tried that brings nothing.
    static let attempts = 5
    /// In seconds: who wants us to wait longer than this gets no answer at all.
    static let longestWish = 120
    /// In milliseconds.
    private static let firstDelay = 500

    private var failures = 0

    /// What has moved since is no failed attempt in a row.
    mutating func progressed() { failures = 0 }

    /// In milliseconds; nil: give up.
    mutating func delay(wish: Int? = nil) -> Int? {
        failures += 1
        guard failures < Self.attempts, (wish ?? 0) <= Self.longestWish else { return nil }
        let delay = Self.firstDelay << (failures - 1)
        return max(delay + Int.random(in: 0...delay / 4), (wish ?? 0) * 1000)
    }

    static func sleep(milliseconds: Int) {
        var wish = timespec(tv_sec: milliseconds / 1000, tv_nsec: milliseconds % 1000 * 1_000_000)
        var rest = timespec()
        // SAFETY: nanosleep reads one value and writes the other; interrupted, it leaves there what remains.
        while unsafe nanosleep(&wish, &rest) != 0 { wish = rest }
    }

    /// Whether a server may answer otherwise next time (RFC 9110, section 15).
    static func isTemporary(_ status: Int) -> Bool {
        status == 408 || status == 429 || ((500...599).contains(status) && status != 501 && status != 505)
    }
}
