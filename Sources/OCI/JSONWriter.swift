// Writing JSON (RFC 8259), bounded as its parser is. The text is plain enough for any terminal: control characters are escaped.

extension JSONValue {
    /// An object of what is there: members with the value nil are left out.
    public static func object(_ members: (String, JSONValue?)...) -> JSONValue {
        .object(members.compactMap { name, value in value.map { Member(name: name, value: $0) } })
    }

    public static func strings(_ texts: [String]) -> JSONValue { .array(texts.map(JSONValue.string)) }

    /// The text, on one line, or with each member on a line of its own and four blanks of indentation a level.
    /// Numbers that the parser couldn't keep are written as null.
    public func text(limit: Int, indented: Bool = false) throws(OCIError) -> [UInt8] {
        var writer = JSONWriter(limit: limit, indented: indented)
        guard writer.write(self, depth: 0) else { throw .unwritable(limit: limit) }
        return writer.bytes
    }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral {
    public init(stringLiteral value: String) { self = .string(value) }
    public init(booleanLiteral value: Bool) { self = .boolean(value) }
}

private struct JSONWriter {
    /// A document that our parser read may stand a few levels deep in another one.
    private static let depthLimit = JSONValue.depthLimit + 8

    private(set) var bytes: [UInt8] = []
    private let limit: Int
    private let indented: Bool

    init(limit: Int, indented: Bool) {
        self.limit = limit
        self.indented = indented
    }

    /// False where a limit is reached.
    mutating func write(_ value: JSONValue, depth: Int) -> Bool {
        guard depth < Self.depthLimit, bytes.count <= limit else { return false }
        switch value {
        case .null, .otherNumber: put("null")
        case .boolean(let isTrue): put(isTrue ? "true" : "false")
        case .integer(let number): bytes.append(contentsOf: String(number).utf8)
        case .string(let text): write(text)
        case .array(let values):
            put("[")
            for (index, value) in values.enumerated() {
                begin(index, depth)
                guard write(value, depth: depth + 1) else { return false }
            }
            end(isEmpty: values.isEmpty, depth)
            put("]")
        case .object(let members):
            put("{")
            for (index, member) in members.enumerated() {
                begin(index, depth)
                write(member.name)
                put(indented ? ": " : ":")
                guard write(member.value, depth: depth + 1) else { return false }
            }
            end(isEmpty: members.isEmpty, depth)
            put("}")
        }
        return bytes.count <= limit
    }

    private mutating func begin(_ index: Int, _ depth: Int) {
        if index > 0 { put(",") }
        if indented { newLine(depth + 1) }
    }

    private mutating func end(isEmpty: Bool, _ depth: Int) {
        if indented && !isEmpty { newLine(depth) }
    }

    private mutating func newLine(_ depth: Int) {
        put("\n")
        bytes.append(contentsOf: [UInt8](repeating: 0x20, count: 4 * depth))
    }

    private mutating func put(_ text: StaticString) {
        // SAFETY: a static string has utf8CodeUnitCount bytes at utf8Start, for ever.
        unsafe bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    private mutating func write(_ text: String) {
        put("\"")
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": put("\\\"")
            case "\\": put("\\\\")
            case "\n": put("\\n")
            case "\t": put("\\t")
            case let other where other.isControl:
                // All of them lie in the first plane: four digits are enough.
                let digits = String(other.value, radix: 16)
                put("\\u")
                bytes.append(contentsOf: [UInt8](repeating: 0x30, count: 4 - digits.utf8.count))
                bytes.append(contentsOf: digits.utf8)
            case let other: bytes.append(contentsOf: UTF8.encode(other) ?? UTF8.encodedReplacementCharacter)
            }
        }
        put("\"")
    }
}

extension Unicode.Scalar {
    /// Control characters, what changes the direction of a line, and line ends of other kinds: a terminal must not get them from an image.
    public var isControl: Bool {
        switch value {
        case 0..<0x20, 0x7F...0x9F, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069: true
        default: false
        }
    }
}
