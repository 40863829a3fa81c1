// A disk image: an ext4 file system with an image's layers on it, as a map of blocks in the files of those layers.
import CLinux
import Glibc
import Images
import LaunchConfiguration
import LinuxSystem
import OCI

/// A disk image whose files are open. As long as its map is, nobody removes it.
struct ImageDisk: Sendable {
    /// Locked (shared).
    let map: OpenFile
    let header: ImageDiskHeader
    /// The blocks, of the lowest part first; one for each of the header's.
    let files: [OpenFile]

    /// For the VMM: which inherits the descriptors.
    var content: DiskContent {
        let start = UInt64(header.length)
        let length = map.size - start - UInt64(ImageDiskMap.sumLength)
        let runs = Extent(descriptor: map.descriptor.raw, offset: start, length: length)
        return .mapped(blocks: header.blocks, runs: runs, files: files.map { $0.descriptor.raw })
    }

    var openFiles: [OpenFile] { [map] + files }
}

/// A map's file: the header, the runs, and a check sum of both. The file system below may lose a file's end; a disk without some of its blocks must not be used.
/// Nobody else writes here, so it need not withstand more than accidents: SHA-256 would be a tenth of what `swiftlet` does for a start.
enum ImageDiskMap {
    /// In bytes.
    static let sumLength = 8

    static func encode(_ header: ImageDiskHeader, runs: [UInt8]) -> [UInt8] {
        let bytes = header.bytes + runs
        let sum = checkSum(bytes[...])
        return bytes + (0..<sumLength).map { UInt8(truncatingIfNeeded: sum >> (8 * UInt64($0))) }
    }

    /// The header and the runs. Nil where `bytes` are no map, or are damaged.
    static func decode(_ bytes: [UInt8]) -> (header: ImageDiskHeader, runs: [UInt8])? {
        guard let header = ImageDiskHeader(bytes), bytes.count >= header.length + sumLength else { return nil }
        let end = bytes.count - sumLength
        let sum = bytes[end...].reversed().reduce(0) { $0 << 8 | UInt64($1) }
        return checkSum(bytes[..<end]) == sum ? (header, Array(bytes[header.length..<end])) : nil
    }

    /// FNV-1a of 64 bits.
    private static func checkSum(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        var sum: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in bytes { sum = (sum ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return sum
    }

    /// In bytes.
    static let lengthLimit = ImageDiskHeader.lengthLimit + DiskMap.runLimit * DiskMap.runLength + sumLength
}

/// What stands before the runs in a map's file: a magic number that names the format, the disk's size, and the files that the runs count.
/// Integers are little-endian: the magic of 8 bytes, the blocks and the number of files of 32 bits, and an id of 64 bits for each file.
struct ImageDiskHeader: Equatable {
    /// Another format, or another file system in it, has another number: its disks are unpacked again.
    static let magic = Array("SWDISK03".utf8)
    private static let fixedLength = 16
    private static let idLength = 8

    /// Of 4096 bytes.
    let blocks: UInt32
    /// Random numbers, so that a layer that is unpacked again doesn't take the place of blocks that other maps count on.
    let files: [UInt64]

    init(blocks: UInt32, files: [UInt64]) {
        self.blocks = blocks
        self.files = files
    }

    /// Nil where `bytes`, the beginning of a map, is none of this format.
    init?(_ bytes: [UInt8]) {
        func integer(_ start: Int, _ count: Int) -> UInt64 { bytes[start..<start + count].reversed().reduce(0) { $0 << 8 | UInt64($1) } }
        guard bytes.count >= Self.fixedLength, bytes.starts(with: Self.magic) else { return nil }
        blocks = UInt32(integer(8, 4))
        let count = Int(integer(12, 4))
        guard count <= LayerChain.partLimit, bytes.count >= Self.fixedLength + Self.idLength * count else { return nil }
        files = (0..<count).map { integer(Self.fixedLength + Self.idLength * $0, Self.idLength) }
    }

    /// In bytes.
    var length: Int { Self.fixedLength + Self.idLength * files.count }

    var bytes: [UInt8] {
        func bytes(_ value: UInt64, _ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * UInt64($0))) } }
        return Self.magic + bytes(UInt64(blocks), 4) + bytes(UInt64(files.count), 4) + files.flatMap { bytes($0, Self.idLength) }
    }

    /// In bytes.
    static let lengthLimit = fixedLength + idLength * LayerChain.partLimit
}
