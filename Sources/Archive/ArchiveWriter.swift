// Headers of tar archives (POSIX.1-2017, pax, "ustar Interchange Format"): plain ustar, with a pax extended header in front where a path or a size doesn't fit.
//
// Owners are 0 and times are the epoch: equal contents make equal archives.

public enum ArchiveWriter {
    /// Sizes that eleven octal digits can hold.
    static let ustarSizeLimit: UInt64 = 1 << 33

    /// Everything in front of a file's data: `path` as the archive spells it, `size` in bytes. The data and `padding(size)` zeros come next.
    public static func file(_ path: [UInt8], size: UInt64) -> [UInt8] {
        let needsExtension = path.count > 100 || size >= ustarSizeLimit
        let plain = header(Array(path.prefix(100)), type: UInt8(ascii: "0"), mode: 0o644, size: size < ustarSizeLimit ? size : 0)
        return needsExtension ? extended(path, size: size) + plain : plain
    }

    public static func directory(_ path: [UInt8]) -> [UInt8] {
        let plain = header(Array(path.prefix(100)), type: UInt8(ascii: "5"), mode: 0o755, size: 0)
        return path.count > 100 ? extended(path, size: 0) + plain : plain
    }

    /// How many zeros follow `size` bytes of data.
    public static func padding(_ size: UInt64) -> Int {
        let blockLength = UInt64(ArchiveHeader.blockLength)
        return Int((blockLength - size % blockLength) % blockLength)
    }

    /// Two blocks of zeros.
    public static var end: [UInt8] { [UInt8](repeating: 0, count: 2 * ArchiveHeader.blockLength) }

    /// A header of type x and its records.
    private static func extended(_ path: [UInt8], size: UInt64) -> [UInt8] {
        var records: [UInt8] = []
        if path.count > 100 { records += record("path", path) }
        if size >= ustarSizeLimit { records += record("size", decimal(size)) }
        let name: [UInt8] = Array("PaxHeaders/member".utf8)
        return header(name, type: UInt8(ascii: "x"), mode: 0o644, size: UInt64(records.count)) + records
            + [UInt8](repeating: 0, count: padding(UInt64(records.count)))
    }

    /// `LENGTH KEY=VALUE` and a newline, where LENGTH counts itself.
    private static func record(_ key: StaticString, _ value: [UInt8]) -> [UInt8] {
        var rest: [UInt8] = [0x20]
        for index in 0..<key.utf8CodeUnitCount {
            // SAFETY: a static string has utf8CodeUnitCount bytes at utf8Start, for ever.
            rest.append(unsafe key.utf8Start[index])
        }
        rest += [0x3D] + value + [0x0A]
        var length = rest.count
        while decimal(UInt64(length)).count + rest.count != length { length = decimal(UInt64(length)).count + rest.count }
        return decimal(UInt64(length)) + rest
    }

    private static func decimal(_ number: UInt64) -> [UInt8] {
        var digits: [UInt8] = []
        var rest = number
        repeat {
            digits.append(0x30 + UInt8(rest % 10))
            rest /= 10
        } while rest > 0
        return digits.reversed()
    }

    private static func header(_ name: [UInt8], type: UInt8, mode: UInt64, size: UInt64) -> [UInt8] {
        var block = [UInt8](repeating: 0, count: ArchiveHeader.blockLength)
        func put(_ bytes: [UInt8], at offset: Int) { for (index, byte) in bytes.enumerated() { block[offset + index] = byte } }
        put(name, at: 0)
        put(octal(mode, 7), at: 100)
        put(octal(0, 7), at: 108)
        put(octal(0, 7), at: 116)
        put(octal(size, 11), at: 124)
        put(octal(0, 11), at: 136)
        block[156] = type
        put(Array("ustar".utf8) + [0, 0x30, 0x30], at: 257)
        // The checksum's own field counts as blanks.
        put([UInt8](repeating: 0x20, count: 8), at: 148)
        put(octal(block.reduce(0) { $0 + UInt64($1) }, 6) + [0, 0x20], at: 148)
        return block
    }

    private static func octal(_ number: UInt64, _ width: Int) -> [UInt8] {
        (0..<width).map { 0x30 + UInt8(number >> UInt64(3 * (width - 1 - $0)) & 7) }
    }
}
