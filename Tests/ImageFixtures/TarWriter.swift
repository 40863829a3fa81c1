// Writes tar archives for tests, as plain as they come (ustar).

public struct TarWriter {
    public private(set) var bytes: [UInt8] = []

    public init() {}

    public mutating func file(_ path: String, _ contents: [UInt8]) {
        member(path, type: "0", link: "", size: contents.count)
        bytes += contents
        bytes += [UInt8](repeating: 0, count: (512 - contents.count % 512) % 512)
    }

    public mutating func file(_ path: String, _ contents: String) { file(path, Array(contents.utf8)) }

    public mutating func symbolicLink(_ path: String, to target: String) { member(path, type: "2", link: target, size: 0) }

    public mutating func hardLink(_ path: String, to target: String) { member(path, type: "1", link: target, size: 0) }

    public mutating func directory(_ path: String) { member(path, type: "5", link: "", size: 0) }

    /// Two blocks of zeros.
    public mutating func end() { bytes += [UInt8](repeating: 0, count: 1024) }

    private mutating func member(_ path: String, type: Unicode.Scalar, link: String, size: Int) {
        var header = [UInt8](repeating: 0, count: 512)
        func put(_ text: String, at offset: Int) { header.replaceSubrange(offset..<offset + text.utf8.count, with: Array(text.utf8)) }
        func octal(_ value: Int, _ width: Int) -> String {
            let digits = String(value, radix: 8)
            return String(repeating: "0", count: width - digits.utf8.count) + digits
        }
        put(path, at: 0)
        put(octal(0o644, 7), at: 100)
        put(octal(0, 7), at: 108)
        put(octal(0, 7), at: 116)
        put(octal(size, 11), at: 124)
        put(octal(0, 11), at: 136)
        put("        ", at: 148)
        header[156] = UInt8(ascii: type)
        put(link, at: 157)
        put("ustar", at: 257)
        put("00", at: 263)
        put(octal(header.reduce(0) { $0 + Int($1) }, 6), at: 148)
        header[154] = 0
        bytes += header
    }
}
