// How fast a container may use its disks: Docker's --device-read-bps, --device-write-bps, --device-read-iops and --device-write-iops.
//
// Docker's paths name block devices of the host, which a container of ours has none of. Here the path is a place in the container: "/" is the disk of its image and the
// scratch disk of --storage-size, which share each limit, so that all that the container reads, or writes, adds up to it.
import LaunchConfiguration
import Wire

/// A second; nil: as much as the host can.
public struct DiskRates: Equatable, Sendable {
    public var readBytes: UInt64?
    public var writeBytes: UInt64?
    public var readOperations: UInt64?
    public var writeOperations: UInt64?

    public init() {}

    var limitsWriting: Bool { writeBytes != nil || writeOperations != nil }

    /// The rate of `PATH:RATE`; `isSize`: with Docker's units.
    static func parse(_ value: Text, isSize: Bool) -> Result<UInt64, Phrase> {
        let bytes = value.bytes
        guard let colon = bytes.lastIndex(of: UInt8(ascii: ":")), colon > 0 else {
            return .failure(Phrase(isSize ? "write /:SIZE, such as /:10m" : "write /:NUMBER, such as /:100"))
        }
        guard bytes[..<colon].elementsEqual([UInt8(ascii: "/")]) else {
            return .failure(Phrase("a container has no devices of the host: the path must be /, which is all its disks"))
        }
        let text = String(decoding: bytes[(colon + 1)...], as: UTF8.self)
        guard let rate = isSize ? Quantities.size(text) : UInt64(text), rate <= UInt64(Int64.max) else {
            let wish = isSize ? "a number and b, k, m or g, such as /:10m" : "a number, such as /:100"
            return .failure(Phrase("\"\(text)\" is no rate: give \(wish)"))
        }
        return .success(rate)
    }

    /// For disks of group `group`; nil without limits.
    func limits(group: UInt32) -> DiskLimits? {
        guard self != DiskRates() else { return nil }
        return DiskLimits(
            group: group, reading: ThroughputLimits(bytes: Self.limit(readBytes), operations: Self.limit(readOperations)),
            writing: ThroughputLimits(bytes: Self.limit(writeBytes), operations: Self.limit(writeOperations)))
    }

    /// A tenth of a second's worth may be saved up, as in the slices of Linux's own throttling.
    private static func limit(_ rate: UInt64?) -> RateLimit? {
        rate.map { RateLimit(rate: $0, capacity: max(1, $0 / 10)) }
    }
}
