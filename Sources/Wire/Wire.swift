// The one binary format of the project: launch configuration, agent frames, snapshots.
//
// Little-endian integers of fixed width; a byte string or a list is a 32-bit count and its elements; an optional is a 0 or 1 byte and perhaps a value.
// Decoding is bounded: no count is believed before the bytes that it promises are there. Builds as Embedded Swift too.

/// Why bytes could not be decoded.
public enum WireError: Error, Equatable {
    /// The value needs more bytes than are left.
    case truncated
    /// A count exceeds what the field allows.
    case tooLong
    /// A tag, boolean or enumeration has a value that the format doesn't know.
    case unknownValue
    /// Bytes are left after the last field.
    case trailingBytes
    /// A byte string that becomes a C string holds a NUL.
    case embeddedNUL
}

/// A value with a binary form.
public protocol WireCodable {
    func encode(into encoder: inout WireEncoder)
    init(from decoder: inout WireDecoder) throws(WireError)
}

extension WireCodable {
    /// The value's binary form.
    public var wireBytes: [UInt8] {
        var encoder = WireEncoder()
        encode(into: &encoder)
        return encoder.bytes
    }

    /// Decodes a value that must fill `bytes` exactly.
    public init(wireBytes bytes: [UInt8]) throws(WireError) {
        var decoder = WireDecoder(bytes)
        try self.init(from: &decoder)
        try decoder.finish()
    }
}

public struct WireEncoder {
    public private(set) var bytes: [UInt8] = []

    public init() {}

    public mutating func integer<Value: FixedWidthInteger & UnsignedInteger>(_ value: Value) {
        var rest = value
        for _ in 0..<(Value.bitWidth / 8) {
            bytes.append(UInt8(truncatingIfNeeded: rest))
            rest = Value.bitWidth > 8 ? rest >> 8 : 0
        }
    }

    public mutating func signed(_ value: Int32) { integer(UInt32(bitPattern: value)) }

    public mutating func boolean(_ value: Bool) { bytes.append(value ? 1 : 0) }

    /// A count and the bytes.
    public mutating func byteString(_ value: [UInt8]) {
        integer(UInt32(value.count))
        bytes.append(contentsOf: value)
    }

    /// The bytes alone: the reader knows how many.
    public mutating func raw(_ value: [UInt8]) { bytes.append(contentsOf: value) }

    public mutating func list<Element: WireCodable>(_ values: [Element]) {
        integer(UInt32(values.count))
        for value in values { value.encode(into: &self) }
    }

    /// A count and the numbers.
    public mutating func integers(_ values: [UInt32]) {
        integer(UInt32(values.count))
        for value in values { integer(value) }
    }

    public mutating func optional<Element: WireCodable>(_ value: Element?) {
        boolean(value != nil)
        value?.encode(into: &self)
    }
}

public struct WireDecoder {
    private let bytes: [UInt8]
    private var offset = 0

    public init(_ bytes: [UInt8]) { self.bytes = bytes }

    public var remaining: Int { bytes.count - offset }

    public mutating func integer<Value: FixedWidthInteger & UnsignedInteger>(_ type: Value.Type = Value.self) throws(WireError) -> Value {
        let width = Value.bitWidth / 8
        guard remaining >= width else { throw .truncated }
        var value: Value = 0
        for index in 0..<width {
            value |= Value(truncatingIfNeeded: bytes[offset + index]) << Value(truncatingIfNeeded: 8 * index)
        }
        offset += width
        return value
    }

    public mutating func signed() throws(WireError) -> Int32 { Int32(bitPattern: try integer(UInt32.self)) }

    public mutating func boolean() throws(WireError) -> Bool {
        switch try integer(UInt8.self) {
        case 0: return false
        case 1: return true
        default: throw .unknownValue
        }
    }

    public mutating func byteString(atMost limit: Int) throws(WireError) -> [UInt8] {
        let count = Int(try integer(UInt32.self))
        guard count <= limit else { throw .tooLong }
        return try raw(count)
    }

    public mutating func raw(_ count: Int) throws(WireError) -> [UInt8] {
        guard count >= 0, count <= remaining else { throw .truncated }
        let slice = Array(bytes[offset..<offset + count])
        offset += count
        return slice
    }

    public mutating func list<Element: WireCodable>(
        of type: Element.Type = Element.self, atMost limit: Int
    ) throws(WireError) -> [Element] {
        let count = Int(try integer(UInt32.self))
        guard count <= limit else { throw .tooLong }
        // Every element takes at least one byte, so a count beyond what is left lies; nothing is reserved on its word.
        guard count <= remaining else { throw .truncated }
        var values: [Element] = []
        for _ in 0..<count { values.append(try Element(from: &self)) }
        return values
    }

    public mutating func integers(atMost limit: Int) throws(WireError) -> [UInt32] {
        let count = Int(try integer(UInt32.self))
        guard count <= limit else { throw .tooLong }
        guard count <= remaining / 4 else { throw .truncated }
        var values: [UInt32] = []
        for _ in 0..<count { values.append(try integer()) }
        return values
    }

    public mutating func optional<Element: WireCodable>(of type: Element.Type = Element.self) throws(WireError) -> Element? {
        try boolean() ? try Element(from: &self) : nil
    }

    /// Everything must have been read.
    public func finish() throws(WireError) {
        if remaining != 0 { throw .trailingBytes }
    }
}
