// Users and groups of a container whose numbers are others outside of it (user_namespaces(7)).
public import Wire

/// Consecutive numbers: a line of /proc/PID/uid_map.
public struct IdentityRange: WireCodable, Equatable, Sendable {
    public var inside: UInt32
    public var outside: UInt32
    public var count: UInt32

    public init(inside: UInt32, outside: UInt32, count: UInt32) {
        self.inside = inside
        self.outside = outside
        self.count = count
    }

    public func encode(into encoder: inout WireEncoder) {
        encoder.integer(inside)
        encoder.integer(outside)
        encoder.integer(count)
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        inside = try decoder.integer()
        outside = try decoder.integer()
        count = try decoder.integer()
    }
}

/// The ranges of a user namespace. Outside is the machine, whose numbers are those of the host's files.
public struct IdentityMap: WireCodable, Equatable, Sendable {
    public var users: [IdentityRange]
    public var groups: [IdentityRange]

    /// As many as Linux takes of either.
    public static let rangeLimit = 340

    public init(users: [IdentityRange], groups: [IdentityRange]) {
        self.users = users
        self.groups = groups
    }

    /// What the container's user is outside; nil: nobody.
    public func user(outside number: UInt32) -> UInt32? { IdentityMap.outside(number, users) }
    public func group(outside number: UInt32) -> UInt32? { IdentityMap.outside(number, groups) }

    private static func outside(_ number: UInt32, _ ranges: [IdentityRange]) -> UInt32? {
        for range in ranges where number >= range.inside && number - range.inside < range.count {
            let (outside, overflows) = range.outside.addingReportingOverflow(number - range.inside)
            return overflows ? nil : outside
        }
        return nil
    }

    public func encode(into encoder: inout WireEncoder) {
        encoder.list(users)
        encoder.list(groups)
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        users = try decoder.list(atMost: IdentityMap.rangeLimit)
        groups = try decoder.list(atMost: IdentityMap.rangeLimit)
    }
}
