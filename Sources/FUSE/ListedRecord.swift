// Listings read again, by whoever stands between server and guest.

/// A name in a listing: `fuse_dirent`, or `fuse_direntplus` with an entry before it.
public struct ListedRecord: Equatable, Sendable {
    /// 0 where the name came without an entry.
    public let node: UInt64
    /// Where reading goes on behind it.
    public let next: UInt64
    /// Of all of it, in bytes.
    public let length: Int
    /// That of its entry, in bytes.
    public let entryLength: Int
    /// No name: the listing's end (`Listing.end`).
    public let isEnd: Bool

    /// The first one of `part`; nil where it holds no whole one.
    public init?(_ bytes: [UInt8], _ part: Range<Int>, hasEntries: Bool) {
        entryLength = hasEntries ? Answer.entryLength : 0
        guard part.upperBound <= bytes.count, part.count >= entryLength + 24 else { return nil }
        let (start, name) = (part.lowerBound, part.lowerBound + entryLength)
        // SAFETY: so many bytes are there; any are an integer.
        let (entry, offset, count) = unsafe bytes.withUnsafeBytes {
            unsafe (
                $0.loadUnaligned(fromByteOffset: start, as: UInt64.self), $0.loadUnaligned(fromByteOffset: name + 8, as: UInt64.self),
                $0.loadUnaligned(fromByteOffset: name + 16, as: UInt32.self)
            )
        }
        guard count <= Name.lengthLimit else { return nil }
        node = hasEntries ? entry : 0
        next = offset
        isEnd = count == 0
        length = entryLength + (24 + Int(count) + 7) / 8 * 8
        guard length <= part.count else { return nil }
    }
}
