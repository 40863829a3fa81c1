// Digests of the OCI image specification ("Digests" in descriptor.md), SHA-256 only: the one algorithm that images use in practice.

/// A SHA-256 digest. Made only from 64 hexadecimal digits, so that its text is safe as a file name.
public struct Digest: Equatable, Hashable, Sendable, CustomStringConvertible {
    /// 32 bytes.
    public let bytes: [UInt8]

    /// Nil unless there are 32 bytes.
    public init?(bytes: [UInt8]) {
        guard bytes.count == 32 else { return nil }
        self.bytes = bytes
    }

    /// Parses `sha256:` and 64 lower-case hexadecimal digits.
    public init(_ text: String) throws(OCIError) {
        guard text.utf8.starts(with: "sha256:".utf8) else {
            // "algorithm:encoded" with another algorithm deserves another sentence than garbage does.
            let algorithm = text.utf8.prefix { ($0 >= 0x61 && $0 <= 0x7A) || ($0 >= 0x30 && $0 <= 0x39) }
            if !algorithm.isEmpty, text.utf8.dropFirst(algorithm.count).first == UInt8(ascii: ":") {
                throw .unsupportedDigestAlgorithm(text)
            }
            throw .invalidDigest(text)
        }
        guard let digest = Digest(hexadecimal: text.utf8.dropFirst(7)) else { throw .invalidDigest(text) }
        self = digest
    }

    /// Nil unless `digits` are exactly 64 lower-case hexadecimal digits.
    public init?(hexadecimal digits: some Collection<UInt8>) {
        guard digits.count == 64 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(32)
        var high: UInt8?
        for digit in digits {
            let value: UInt8
            switch digit {
            case 0x30...0x39: value = digit - 0x30
            case 0x61...0x66: value = digit - 0x61 + 10
            default: return nil
            }
            if let upper = high {
                bytes.append(upper << 4 | value)
                high = nil
            } else {
                high = value
            }
        }
        self.bytes = bytes
    }

    /// 64 lower-case hexadecimal digits.
    public var hexadecimal: String { hexadecimalText(bytes) }

    public var description: String { "sha256:" + hexadecimal }
}

/// Two lower-case digits for each byte.
public func hexadecimalText(_ bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    text.reserveCapacity(bytes.count * 2)
    for byte in bytes {
        text.append(digits[Int(byte >> 4)])
        text.append(digits[Int(byte & 15)])
    }
    return String(decoding: text, as: UTF8.self)
}
