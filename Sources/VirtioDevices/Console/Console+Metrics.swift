// What the console counts.

public struct ConsoleMetrics: Equatable, Sendable {
    public init() {}

    /// From the guest.
    public internal(set) var bytesOut: UInt64 = 0
    /// To the guest.
    public internal(set) var bytesIn: UInt64 = 0
}
