// A disk as runs of blocks in files: how a disk image that shares most of its blocks with another one is described.
//
// Stored as 16 bytes for each run, integers little-endian, in ascending order of blocks. Blocks in no run are zeros.

/// Consecutive blocks of a disk that are consecutive in a file.
public struct DiskRun: Equatable, Sendable {
    /// The first one's number on the disk.
    public var block: UInt32
    /// At least 1.
    public var count: UInt32
    /// Which of the disk's files.
    public var file: UInt32
    /// The first one's number in the file.
    public var fileBlock: UInt32

    public init(block: UInt32, count: UInt32, file: UInt32, fileBlock: UInt32) {
        self.block = block
        self.count = count
        self.file = file
        self.fileBlock = fileBlock
    }
}

public enum DiskMap {
    /// In bytes.
    public static let blockSize: UInt64 = 4096
    /// In bytes.
    public static let runLength = 16
    /// A disk that is more scattered than this is refused: the map stays in memory.
    public static let runLimit = 1 << 20

    public static func encode(_ runs: [DiskRun]) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: runs.count * runLength)
        var position = 0
        for run in runs {
            for field in [run.block, run.count, run.file, run.fileBlock] {
                for shift in [0, 8, 16, 24] as [UInt32] {
                    bytes[position] = UInt8(truncatingIfNeeded: field >> shift)
                    position += 1
                }
            }
        }
        return bytes
    }

    /// Nil unless the runs are in order, lie apart from each other within `blocks`, and within each file's whole blocks (`fileBlocks`).
    public static func decode(_ bytes: [UInt8], blocks: UInt32, fileBlocks: [UInt64]) -> [DiskRun]? {
        guard bytes.count.isMultiple(of: runLength), bytes.count / runLength <= runLimit else { return nil }
        var runs: [DiskRun] = []
        runs.reserveCapacity(bytes.count / runLength)
        var end: UInt64 = 0
        for start in stride(from: 0, to: bytes.count, by: runLength) {
            let run = DiskRun(
                block: field(bytes, start), count: field(bytes, start + 4), file: field(bytes, start + 8), fileBlock: field(bytes, start + 12))
            guard run.count > 0, UInt64(run.block) >= end, Int(run.file) < fileBlocks.count,
                UInt64(run.fileBlock) + UInt64(run.count) <= fileBlocks[Int(run.file)]
            else { return nil }
            end = UInt64(run.block) + UInt64(run.count)
            runs.append(run)
        }
        return end <= UInt64(blocks) ? runs : nil
    }

    private static func field(_ bytes: [UInt8], _ start: Int) -> UInt32 {
        UInt32(bytes[start]) | UInt32(bytes[start + 1]) << 8 | UInt32(bytes[start + 2]) << 16 | UInt32(bytes[start + 3]) << 24
    }
}
