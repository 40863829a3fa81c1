// Token buckets: how much may pass a second, and how much at once. For every kind of device.
//
//            rate                    a bucket holds `capacity` tokens, and `burst` more that are never refilled
//             │
//   ┌─────────▼────────┐
//   │ ░░░░░░░░░░░░░░░░ │ capacity     a request takes its tokens at once, or waits until they are there;
//   └─────────┬────────┘              one that is larger than the bucket takes a full one, and leaves a debt
//             ▼
//
// A bucket is kept as the moment at which it will be full again: an empty bucket with a rate of r is full after capacity / r. Taking n tokens moves that moment by n / r.

/// A rate and what may exceed it.
public struct Allowance: Equatable, Sendable {
    /// Tokens that come back each second; above 0.
    public let rate: UInt64
    /// Tokens that can be saved up; above 0.
    public let capacity: UInt64
    /// Tokens for once, beside the bucket's.
    public let burst: UInt64

    public init(rate: UInt64, capacity: UInt64, burst: UInt64 = 0) {
        self.rate = max(rate, 1)
        self.capacity = max(capacity, 1)
        self.burst = burst
    }
}

/// Pure: whoever asks says what time it is, in nanoseconds of a clock that doesn't go back.
public struct TokenBucket: Equatable, Sendable {
    private static let second: UInt64 = 1_000_000_000
    /// No wait is longer, in nanoseconds (some 36 years): sums of two never overflow.
    private static let longest: UInt64 = 1 << 60

    public let allowance: Allowance
    /// What is left of the tokens for once.
    private var burst: UInt64
    /// When the bucket is full again.
    private var full: UInt64 = 0

    /// A full bucket.
    public init(_ allowance: Allowance) {
        self.allowance = allowance
        burst = allowance.burst
    }

    /// How long so many tokens take to come back, in nanoseconds, rounded up.
    private func duration(_ tokens: UInt64) -> UInt64 {
        let product = tokens.multipliedFullWidth(by: TokenBucket.second)
        guard product.high < allowance.rate else { return TokenBucket.longest }
        let (quotient, remainder) = allowance.rate.dividingFullWidth(product)
        return min(quotient, TokenBucket.longest - 1) + (remainder > 0 ? 1 : 0)
    }

    /// The first moment, `now` or later, at which `tokens` can be taken.
    public func moment(for tokens: UInt64, now: UInt64) -> UInt64 {
        let needed = tokens - min(tokens, burst)
        guard needed > 0 else { return now }
        // As much as fits has to be there; a full bucket serves everyone.
        let inside = duration(min(needed, allowance.capacity))
        let whole = duration(allowance.capacity)
        // The bucket holds what it lacks less than the whole: `full - moment <= whole - inside`.
        let slack = whole - inside
        return full > slack ? max(now, full - slack) : now
    }

    /// Takes tokens whether they are there or not.
    public mutating func take(_ tokens: UInt64, now: UInt64) {
        let once = min(tokens, burst)
        burst -= once
        guard tokens > once else { return }
        full = min(max(full, now), UInt64(Int64.max) - TokenBucket.longest) + duration(tokens - once)
    }
}
