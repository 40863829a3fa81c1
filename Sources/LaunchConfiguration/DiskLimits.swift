// How fast a disk may be used.
public import Wire

/// A token bucket.
public struct RateLimit: WireCodable, Equatable, Sendable {
    /// Tokens a second: bytes, or operations.
    public var rate: UInt64
    /// Tokens that can be saved up.
    public var capacity: UInt64
    /// Tokens for once, at the beginning.
    public var burst: UInt64

    public init(rate: UInt64, capacity: UInt64, burst: UInt64 = 0) {
        self.rate = rate
        self.capacity = capacity
        self.burst = burst
    }

    public func encode(into encoder: inout WireEncoder) {
        encoder.integer(rate)
        encoder.integer(capacity)
        encoder.integer(burst)
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        rate = try decoder.integer()
        capacity = try decoder.integer()
        burst = try decoder.integer()
        guard rate > 0, capacity > 0 else { throw .unknownValue }
    }
}

/// Of one direction; nil: as fast as it goes.
public struct ThroughputLimits: WireCodable, Equatable, Sendable {
    public var bytes: RateLimit?
    public var operations: RateLimit?

    public init(bytes: RateLimit? = nil, operations: RateLimit? = nil) {
        self.bytes = bytes
        self.operations = operations
    }

    public func encode(into encoder: inout WireEncoder) {
        encoder.optional(bytes)
        encoder.optional(operations)
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        bytes = try decoder.optional()
        operations = try decoder.optional()
    }
}

public struct DiskLimits: WireCodable, Equatable, Sendable {
    /// Disks of one group share their limits, which are those of the group's first disk.
    public var group: UInt32
    public var reading: ThroughputLimits
    public var writing: ThroughputLimits

    public init(group: UInt32, reading: ThroughputLimits = ThroughputLimits(), writing: ThroughputLimits = ThroughputLimits()) {
        self.group = group
        self.reading = reading
        self.writing = writing
    }

    public func encode(into encoder: inout WireEncoder) {
        encoder.integer(group)
        reading.encode(into: &encoder)
        writing.encode(into: &encoder)
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        group = try decoder.integer()
        reading = try ThroughputLimits(from: &decoder)
        writing = try ThroughputLimits(from: &decoder)
    }
}
