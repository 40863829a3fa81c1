// Numbers as archives write them: octal text, GNU's base-256, and pax's decimal text with an optional fraction.

enum ArchiveNumber {
    /// A header's numeric field: octal digits between optional blanks and NULs, or, with the first bit set, a big-endian two's complement number (GNU).
    static func field(_ bytes: ArraySlice<UInt8>) throws(ArchiveError) -> Int64 {
        guard let first = bytes.first else { throw .number }
        return first & 0x80 != 0 ? try base256(bytes) : try octal(bytes)
    }

    /// A field that counts something: never negative.
    static func count(_ bytes: ArraySlice<UInt8>) throws(ArchiveError) -> UInt64 {
        let value = try field(bytes)
        guard value >= 0 else { throw .number }
        return UInt64(value)
    }

    /// A user, group or device number.
    static func identifier(_ bytes: ArraySlice<UInt8>) throws(ArchiveError) -> UInt32 {
        try identifier(try count(bytes))
    }

    /// The highest value means "no change" to chown(2), so it can't be an owner.
    static func identifier(_ value: UInt64) throws(ArchiveError) -> UInt32 {
        guard value < UInt64(UInt32.max) else { throw .number }
        return UInt32(value)
    }

    private static func base256(_ bytes: ArraySlice<UInt8>) throws(ArchiveError) -> Int64 {
        var value: Int64 = 0
        var isFirst = true
        for byte in bytes {
            if isFirst {
                // The first bit is the marker; the second is the sign.
                value = Int64(Int8(bitPattern: byte << 1) >> 1)
                isFirst = false
                continue
            }
            let shifted = value.multipliedReportingOverflow(by: 256)
            guard !shifted.overflow else { throw .number }
            value = shifted.partialValue | Int64(byte)
        }
        return value
    }

    private static func octal(_ bytes: ArraySlice<UInt8>) throws(ArchiveError) -> Int64 {
        var value: Int64 = 0
        var index = bytes.startIndex
        while index < bytes.endIndex, bytes[index] == 0x20 || bytes[index] == 0 { index += 1 }
        while index < bytes.endIndex, bytes[index] != 0x20, bytes[index] != 0 {
            guard bytes[index] >= 0x30, bytes[index] <= 0x37, value >> 60 == 0 else { throw .number }
            value = value << 3 | Int64(bytes[index] - 0x30)
            index += 1
        }
        return value
    }

    /// Decimal digits only, at least one.
    static func decimal(_ bytes: ArraySlice<UInt8>) throws(ArchiveError) -> UInt64 {
        guard !bytes.isEmpty else { throw .number }
        var value: UInt64 = 0
        for byte in bytes {
            guard byte >= 0x30, byte <= 0x39, value < UInt64(Int64.max) / 10 - 1 else { throw .number }
            value = value * 10 + UInt64(byte - 0x30)
        }
        return value
    }

    /// `[-]SECONDS[.FRACTION]`; digits beyond nanoseconds are dropped.
    static func time(_ bytes: ArraySlice<UInt8>) throws(ArchiveError) -> ArchiveTime {
        var rest = bytes
        let isNegative = rest.first == 0x2D
        if isNegative { rest = rest.dropFirst() }
        let point = rest.firstIndex(of: 0x2E) ?? rest.endIndex
        let seconds = Int64(try decimal(rest[rest.startIndex..<point]))
        var nanoseconds: UInt32 = 0
        if point < rest.endIndex {
            var unit: UInt32 = 100_000_000
            for byte in rest[(point + 1)...] {
                guard byte >= 0x30, byte <= 0x39 else { throw .number }
                nanoseconds += UInt32(byte - 0x30) * unit
                unit /= 10
            }
        }
        guard isNegative else { return ArchiveTime(seconds: seconds, nanoseconds: nanoseconds) }
        return nanoseconds == 0
            ? ArchiveTime(seconds: -seconds, nanoseconds: 0)
            : ArchiveTime(seconds: -seconds - 1, nanoseconds: 1_000_000_000 - nanoseconds)
    }
}
