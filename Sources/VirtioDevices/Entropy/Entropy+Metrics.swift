// What the entropy device counts.

public struct EntropyMetrics: Equatable, Sendable {
    public init() {}

    public internal(set) var requests: UInt64 = 0
    public internal(set) var bytes: UInt64 = 0
}
