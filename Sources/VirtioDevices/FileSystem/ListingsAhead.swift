// What was listed of directories before the driver asked for it: it asks for a page at a time, and once more for the end; a question to another process takes longer than the answer.
import FUSE

/// Of directories that are open, by their handles.
///
/// Each name comes with what it is where the driver asked for that at first, and counts as told: what the driver hears nothing of has to be forgotten.
struct ListingsAhead {
    private struct Listing {
        var bytes: [UInt8]
        /// Which of them are still to be told.
        var rest: Range<Int>
        /// Where these begin, as the server calls it.
        var position: UInt64
        let hasEntries: Bool
        /// Nothing follows them.
        let isWhole: Bool
        /// In nanoseconds.
        let asked: UInt64

        init(_ answer: [UInt8], from position: UInt64, hasEntries: Bool, asked: UInt64) {
            var end = 0
            var isWhole = false
            while let record = ListedRecord(answer, end..<answer.count, hasEntries: hasEntries) {
                isWhole = record.isEnd
                if isWhole { break }
                end += record.length
            }
            bytes = answer
            rest = 0..<end
            self.position = position
            self.hasEntries = hasEntries
            self.isWhole = isWhole
            self.asked = asked
        }
    }

    /// What is asked for at once, in bytes.
    static let length: UInt32 = 16 << 10
    /// Of directories.
    private static let limit = 32
    /// How old it may be when it is told, in nanoseconds: a tenth of what the driver may believe it for then.
    private static let lifetime: UInt64 = 100_000_000

    private var listings: [UInt64: Listing] = [:]

    /// Whether it was listed ahead before, and nothing has changed since.
    func contains(_ handle: UInt64) -> Bool { listings[handle] != nil }

    /// Keeps what the server answered, until it is told. `asked`: when, in nanoseconds.
    mutating func keep(
        _ answer: [UInt8], of handle: UInt64, from position: UInt64, hasEntries: Bool, asked: UInt64, _ forget: (FUSE.Operation.Forgotten) -> Void
    ) {
        drop(handle, forget)
        if listings.count >= Self.limit { dropAll(forget) }
        listings[handle] = Listing(answer, from: position, hasEntries: hasEntries, asked: asked)
    }

    /// What READDIR or READDIRPLUS is answered; nil where the server has to be asked. `now`: in nanoseconds.
    mutating func take(
        _ range: FUSE.Operation.Range, withAttributes: Bool, now: UInt64, _ forget: (FUSE.Operation.Forgotten) -> Void
    ) -> [UInt8]? {
        guard var listing = listings[range.handle], listing.position == range.offset, now - listing.asked <= Self.lifetime else { return nil }
        if listing.rest.isEmpty { return listing.isWhole ? [] : nil }
        guard listing.hasEntries || !withAttributes else { return nil }
        var answer: [UInt8] = []
        while let record = ListedRecord(listing.bytes, listing.rest, hasEntries: listing.hasEntries) {
            let start = listing.rest.lowerBound + (withAttributes ? 0 : record.entryLength)
            let bytes = listing.bytes[start..<listing.rest.lowerBound + record.length]
            guard answer.count + bytes.count <= Int(range.count) else { break }
            answer += bytes
            if !withAttributes, record.node != 0 { forget(.init(node: record.node, lookups: 1)) }
            listing.rest = listing.rest.dropFirst(record.length)
            listing.position = record.next
        }
        // Not even one name has room; nothing at all would be the end.
        if answer.isEmpty { return nil }
        if listing.rest.isEmpty { (listing.bytes, listing.rest) = ([], 0..<0) }
        listings[range.handle] = listing
        return answer
    }

    /// What was not told is forgotten.
    mutating func drop(_ handle: UInt64, _ forget: (FUSE.Operation.Forgotten) -> Void) {
        guard var listing = listings.removeValue(forKey: handle), listing.hasEntries else { return }
        while let record = ListedRecord(listing.bytes, listing.rest, hasEntries: true) {
            if record.node != 0 { forget(.init(node: record.node, lookups: 1)) }
            listing.rest = listing.rest.dropFirst(record.length)
        }
    }

    /// Of all directories: files have changed, or may have.
    mutating func dropAll(_ forget: (FUSE.Operation.Forgotten) -> Void) {
        for handle in Array(listings.keys) { drop(handle, forget) }
    }

    /// The same for a driver that begins anew: its server forgets everything anyway.
    mutating func reset() { listings = [:] }
}
