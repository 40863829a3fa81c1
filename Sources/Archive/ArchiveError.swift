// Why bytes are not a tar archive.

public enum ArchiveError: Error, Equatable, Sendable {
    /// The stream ends inside a member.
    case truncated
    /// A header block's checksum doesn't match: not an archive, or a damaged one.
    case checksum
    /// A numeric field is neither octal nor base-256, or is too large for what it counts.
    case number
    /// A pax extended header isn't a list of `LENGTH KEY=VALUE` records.
    case extendedHeader
    /// An extended header, a long name or a sparse map is longer than the parser's limit.
    case tooLong
    /// A name holds a NUL or is empty.
    case name
    /// A sparse map isn't ascending, leaves the file, or doesn't match the stored size.
    case sparseMap
    /// A member's type is none that a container image may hold.
    case unknownType

    /// The second half of a sentence that begins with what was being read.
    public var explanation: StaticString {
        switch self {
        case .truncated: "ends in the middle of a member"
        case .checksum: "is no tar archive, or is damaged: a header's checksum does not match"
        case .number: "has a header with an impossible number"
        case .extendedHeader: "has a malformed pax extended header"
        case .tooLong: "has an extended header or a name beyond 1 MiB, or a sparse map beyond 8 MiB"
        case .name: "has a member with an impossible name"
        case .sparseMap: "has a sparse file whose map is impossible"
        case .unknownType: "has a member of a type that no container image uses"
        }
    }
}
