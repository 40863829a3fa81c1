// `WWW-Authenticate` (RFC 9110, sections 11.3 and 11.6.1): what a server wants to see before it answers.

struct Challenge: Equatable, Sendable {
    /// Lower case.
    let scheme: String
    /// Names in lower case; of a name given twice the first counts.
    let parameters: [String: String]

    func parameter(_ name: String) -> String? { parameters[name] }

    /// All challenges of one field value. What can't be understood ends the list: the challenges before it are still good.
    static func parse(_ text: String) -> [Challenge] {
        var parser = ChallengeParser(Array(text.utf8.prefix(8192)))
        return parser.challenges()
    }
}

private struct ChallengeParser {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard current == byte else { return false }
        position += 1
        return true
    }

    private mutating func skipBlanks() {
        while let byte = current, byte == 0x20 || byte == 0x09 { position += 1 }
    }

    private mutating func skipCommas() {
        skipBlanks()
        while take(UInt8(ascii: ",")) { skipBlanks() }
    }

    /// Section 5.6.2; nil where none begins here.
    private mutating func token() -> String? {
        let start = position
        while let byte = current, Self.isTokenByte(byte) { position += 1 }
        return position == start ? nil : String(decoding: bytes[start..<position], as: UTF8.self)
    }

    private static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"): true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }

    /// Section 5.6.4, after the opening quote.
    private mutating func quotedString() -> String? {
        var text: [UInt8] = []
        while let byte = current {
            position += 1
            switch byte {
            case UInt8(ascii: "\""): return String(validating: text, as: UTF8.self)
            case UInt8(ascii: "\\"):
                guard let escaped = current else { return nil }
                position += 1
                text.append(escaped)
            default: text.append(byte)
            }
        }
        return nil
    }

    mutating func challenges() -> [Challenge] {
        var challenges: [Challenge] = []
        skipCommas()
        while challenges.count < 16, let scheme = token() {
            skipBlanks()
            guard let parameters = parameters() else { break }
            challenges.append(Challenge(scheme: scheme.lowercased(), parameters: parameters))
            skipCommas()
        }
        return challenges
    }

    /// Up to the next challenge's scheme, which is a token that no `=` follows.
    private mutating func parameters() -> [String: String]? {
        var parameters: [String: String] = [:]
        while true {
            let start = position
            skipCommas()
            guard let name = token()?.lowercased() else { return position == bytes.count ? parameters : skipCredentials(parameters) }
            skipBlanks()
            guard take(UInt8(ascii: "=")) else {
                position = start
                return parameters
            }
            skipBlanks()
            guard let value = take(UInt8(ascii: "\"")) ? quotedString() : token() else { return skipCredentials(parameters) }
            if parameters[name] == nil { parameters[name] = value }
            skipBlanks()
            guard current == nil || current == UInt8(ascii: ",") else { return skipCredentials(parameters) }
        }
    }

    /// A scheme with opaque credentials (`token68`), such as Negotiate's, or garbage: on to the next comma.
    private mutating func skipCredentials(_ parameters: [String: String]) -> [String: String]? {
        while let byte = current, byte != UInt8(ascii: ",") { position += 1 }
        return parameters
    }
}
