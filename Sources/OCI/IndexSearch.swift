// Finding the few entries of a long index that say a certain word, without making values of all the others: a start of a container looks up one name
// (docs/adr/0005), and the index has an entry for each image of the machine.

extension ImageIndex {
    /// The entries in which one of `words` is a whole string, somewhere; words that the document spells with escapes are not found.
    /// Nil where the document isn't an index. What isn't returned is looked at only as far as needed to pass over it.
    public static func entries(of json: [UInt8], saying words: [String], name: String) throws(OCIError) -> [Descriptor]? {
        var search = IndexSearch(json, words)
        guard let ranges = search.manifests() else { return nil }
        var entries: [Descriptor] = []
        for range in ranges {
            entries.append(try JSONDocument.decode(Array(json[range]), name: name) { value throws(FieldError) in try Descriptor(value) })
        }
        return entries
    }
}

private struct IndexSearch {
    private static let list = Array("manifests".utf8)

    private let bytes: [UInt8]
    private let words: [[UInt8]]
    private var position = 0
    /// A word was passed since this was last set to false.
    private var hasFound = false

    init(_ bytes: [UInt8], _ words: [String]) {
        self.bytes = bytes
        self.words = words.map { Array($0.utf8) }
    }

    /// Where the entries with a word lie; of a list given twice the last one counts, as everywhere.
    mutating func manifests() -> [Range<Int>]? {
        var found: [Range<Int>]?
        guard take(UInt8(ascii: "{")) else { return nil }
        if take(UInt8(ascii: "}")) { return nil }
        repeat {
            guard let name = string(), take(UInt8(ascii: ":")) else { return nil }
            if bytes[name].elementsEqual(Self.list), next() == UInt8(ascii: "[") {
                guard let ranges = elements() else { return nil }
                found = ranges
            } else if !skip(depth: 1) {
                return nil
            }
        } while take(UInt8(ascii: ","))
        guard take(UInt8(ascii: "}")), next() == nil else { return nil }
        return found
    }

    private mutating func elements() -> [Range<Int>]? {
        var ranges: [Range<Int>] = []
        position += 1
        if take(UInt8(ascii: "]")) { return ranges }
        repeat {
            hasFound = false
            _ = next()
            let start = position
            guard skip(depth: 2) else { return nil }
            if hasFound { ranges.append(start..<position) }
        } while take(UInt8(ascii: ","))
        return take(UInt8(ascii: "]")) ? ranges : nil
    }

    /// The next byte that isn't blank.
    private mutating func next() -> UInt8? {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            case let byte: return byte
            }
        }
        return nil
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard next() == byte else { return false }
        position += 1
        return true
    }

    /// Passes a value.
    private mutating func skip(depth: Int) -> Bool {
        guard depth < JSONValue.depthLimit else { return false }
        switch next() {
        case nil: return false
        case UInt8(ascii: "\""): return string() != nil
        case UInt8(ascii: "{"):
            position += 1
            if take(UInt8(ascii: "}")) { return true }
            repeat {
                guard string() != nil, take(UInt8(ascii: ":")), skip(depth: depth + 1) else { return false }
            } while take(UInt8(ascii: ","))
            return take(UInt8(ascii: "}"))
        case UInt8(ascii: "["):
            position += 1
            if take(UInt8(ascii: "]")) { return true }
            repeat {
                guard skip(depth: depth + 1) else { return false }
            } while take(UInt8(ascii: ","))
            return take(UInt8(ascii: "]"))
        default:
            // Numbers, true, false, null: their letters don't matter here.
            let start = position
            while position < bytes.count, Self.isPlain(bytes[position]) { position += 1 }
            return position > start
        }
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "E"), UInt8(ascii: "-"), UInt8(ascii: "+"),
            UInt8(ascii: "."):
            true
        default: false
        }
    }

    /// Passes a string; where its text lies, as it is spelled.
    private mutating func string() -> Range<Int>? {
        guard take(UInt8(ascii: "\"")) else { return nil }
        let start = position
        while position < bytes.count {
            switch bytes[position] {
            case UInt8(ascii: "\""):
                let text = start..<position
                position += 1
                for word in words where word.count == text.count && bytes[text].elementsEqual(word) { hasFound = true }
                return text
            case UInt8(ascii: "\\"): position += 2
            default: position += 1
            }
        }
        return nil
    }
}
