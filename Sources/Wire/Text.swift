// Strings as Linux has them: bytes without NUL, in no particular encoding. Arguments, environment, paths and messages travel so.

/// Bytes that can become a C string: never holds a NUL, at most `Text.limit` bytes on the wire.
public struct Text: Equatable, Hashable, Sendable, ExpressibleByStringLiteral {
    /// The longest text that a decoder accepts: ARG_MAX's share for one string on Linux (MAX_ARG_STRLEN).
    public static let limit = 131_072

    public let bytes: [UInt8]

    /// Nil if `bytes` holds a NUL.
    public init?(bytes: [UInt8]) {
        if bytes.contains(0) { return nil }
        self.bytes = bytes
    }

    /// The string's UTF-8 up to its first NUL.
    public init(_ string: String) {
        bytes = Array(string.utf8.prefix { $0 != 0 })
    }

    public init(stringLiteral value: StaticString) {
        // SAFETY: a static string's storage lives for ever and has utf8CodeUnitCount bytes.
        let buffer = unsafe UnsafeBufferPointer(start: value.utf8Start, count: value.utf8CodeUnitCount)
        bytes = unsafe Array(buffer)
    }

    public var isEmpty: Bool { bytes.isEmpty }

    /// Invalid UTF-8 becomes replacement characters.
    public var string: String { String(decoding: bytes, as: UTF8.self) }
}

extension Text: WireCodable {
    public func encode(into encoder: inout WireEncoder) { encoder.byteString(bytes) }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        let bytes = try decoder.byteString(atMost: Text.limit)
        guard let text = Text(bytes: bytes) else { throw .embeddedNUL }
        self = text
    }
}
