// Which part of a blob a response holds.

/// `Content-Range: bytes FIRST-LAST/LENGTH` (RFC 9110, section 14.4).
struct ContentRange: Equatable {
    let first: UInt64

    init?(_ text: String) {
        guard text.lowercased().utf8.starts(with: "bytes ".utf8) else { return nil }
        let digits = text.utf8.dropFirst(6).prefix { $0 >= 0x30 && $0 <= 0x39 }
        guard text.utf8[digits.endIndex...].first == UInt8(ascii: "-"), let first = UInt64(String(decoding: digits, as: UTF8.self)) else {
            return nil
        }
        self.first = first
    }
}
