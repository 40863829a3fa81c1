// Text for users, put together without the standard library's String, whose Unicode machinery would be half of the agent.

/// Bytes, usually UTF-8; made with string interpolation.
public struct Sentence: ExpressibleByStringInterpolation, Sendable {
    public var bytes: [UInt8]

    public init(bytes: [UInt8]) { self.bytes = bytes }

    public init(stringLiteral value: StaticString) { bytes = Array(value) }

    public init(stringInterpolation: Interpolation) { bytes = stringInterpolation.bytes }

    public struct Interpolation: StringInterpolationProtocol {
        var bytes: [UInt8] = []

        public init(literalCapacity: Int, interpolationCount: Int) { bytes.reserveCapacity(literalCapacity + 16 * interpolationCount) }

        public mutating func appendLiteral(_ literal: StaticString) { bytes += Array(literal) }

        /// As it is.
        public mutating func appendInterpolation(_ text: [UInt8]) { bytes += text }

        public mutating func appendInterpolation(_ text: Sentence) { bytes += text.bytes }

        public mutating func appendInterpolation(_ text: StaticString) { bytes += Array(text) }

        /// Decimal.
        public mutating func appendInterpolation(_ number: Int) {
            if number < 0 { bytes.append(0x2D) }
            var digits: [UInt8] = []
            var rest = number.magnitude
            repeat {
                digits.append(UInt8(truncatingIfNeeded: 0x30 + rest % 10))
                rest /= 10
            } while rest > 0
            bytes += digits.reversed()
        }

        /// An untrusted name: control characters become `?`, and what is longer than 200 bytes is cut.
        public mutating func appendInterpolation(name: [UInt8]) {
            for byte in name.prefix(200) { bytes.append(byte < 0x20 || byte == 0x7F ? 0x3F : byte) }
            if name.count > 200 { bytes += Array("…" as StaticString) }
        }

        public mutating func appendInterpolation(hex value: ArraySlice<UInt8>) {
            for byte in value {
                for digit in [byte >> 4, byte & 15] { bytes.append(digit < 10 ? 0x30 + digit : 0x57 + digit) }
            }
        }

        public mutating func appendInterpolation(_ error: SystemError) { bytes += error.explanation }
    }
}

extension Array where Element == UInt8 {
    public init(_ text: StaticString) {
        // SAFETY: a static string has utf8CodeUnitCount bytes at utf8Start, for ever.
        self = unsafe Array(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }
}

/// A C string's bytes, NUL included: what system calls take as a path.
public struct CPath: ExpressibleByStringLiteral, ExpressibleByStringInterpolation {
    /// Without the NUL.
    public var bytes: [UInt8] { Array(terminated.dropLast()) }
    let terminated: [UInt8]

    /// `bytes` up to their first NUL.
    public init(_ bytes: [UInt8]) { terminated = bytes + [0] }

    public init(stringLiteral value: StaticString) { self.init(Array(value)) }

    public init(stringInterpolation: Sentence.Interpolation) { self.init(stringInterpolation.bytes) }

    /// The string for the length of a call.
    func use<Value>(_ body: (UnsafePointer<CChar>) -> Value) -> Value {
        // SAFETY: the array ends with a NUL and outlives the call; UInt8 and CChar have the same layout.
        unsafe terminated.withUnsafeBytes { unsafe body($0.assumingMemoryBound(to: CChar.self).baseAddress.unsafelyUnwrapped) }
    }
}
