// Maps of sparse files: which bytes are stored. GNU tar manual, "Storing Sparse Files".

/// Reads the map that pax sparse format 1.0 puts in front of the data: decimal numbers, one per line, in blocks of 512 bytes:
/// the number of segments, then offset and length of each.
struct SparseMapReader: Sendable {
    private var numbers: [UInt64] = []
    private var digits: [UInt8] = []
    private var expected: Int?
    private var length = 0

    /// The segments once the last block has been added.
    mutating func add(_ block: [UInt8]) throws(ArchiveError) -> [ArchiveSegment]? {
        length += block.count
        guard length <= ArchiveParser.sparseMapLimit else { throw .tooLong }
        for byte in block {
            if numbers.count == expected { break }
            guard byte == 0x0A else {
                digits.append(byte)
                guard digits.count <= 20 else { throw .sparseMap }
                continue
            }
            guard let number = try? ArchiveNumber.decimal(digits[...]) else { throw .sparseMap }
            digits.removeAll(keepingCapacity: true)
            if expected == nil {
                // Each number takes two bytes at least.
                guard number <= UInt64(ArchiveParser.sparseMapLimit / 4) else { throw .tooLong }
                expected = Int(number) * 2
            } else {
                numbers.append(number)
            }
        }
        return numbers.count == expected ? try SparseMapReader.segments(numbers) : nil
    }

    /// Offsets and lengths in turn.
    static func segments(_ numbers: [UInt64]) throws(ArchiveError) -> [ArchiveSegment] {
        guard numbers.count % 2 == 0 else { throw .sparseMap }
        var segments: [ArchiveSegment] = []
        for index in stride(from: 0, to: numbers.count, by: 2) {
            segments.append(ArchiveSegment(offset: numbers[index], length: numbers[index + 1]))
        }
        return segments
    }

    static func check(_ segments: [ArchiveSegment], size: UInt64, storedSize: UInt64) throws(ArchiveError) {
        var end: UInt64 = 0
        var stored: UInt64 = 0
        for segment in segments {
            guard segment.offset >= end, segment.offset <= size, segment.length <= size - segment.offset else { throw .sparseMap }
            end = segment.offset + segment.length
            stored += segment.length
        }
        guard stored == storedSize else { throw .sparseMap }
    }
}
