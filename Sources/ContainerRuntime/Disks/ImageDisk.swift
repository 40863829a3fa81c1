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
    /// The blocks, of the lowest part first.
    let files: [OpenFile]

    /// For the VMM: which inherits the descriptors.
    var content: DiskContent {
        let start = UInt64(header.bytes.count)
        let runs = Extent(descriptor: map.descriptor.raw, offset: start, length: map.size - start)
        return .mapped(blocks: header.blocks, runs: runs, files: files.map { $0.descriptor.raw })
    }

    var openFiles: [OpenFile] { [map] + files }
}

/// What stands before the runs in a map's file: a magic number that names the format, the disk's size, and the chains whose files the runs count.
/// Integers are 32-bit, little-endian; the length is a multiple of 16.
struct ImageDiskHeader: Equatable {
    /// Another format, or another file system in it, has another number: its disks are unpacked again.
    static let magic = Array("SWDISK01".utf8)
    private static let fixedLength = 16

    /// Of 4096 bytes.
    let blocks: UInt32
    let chains: [Digest]

    init(blocks: UInt32, chains: [Digest]) {
        self.blocks = blocks
        self.chains = chains
    }

    /// Nil where `bytes`, the beginning of a map, is none of this format.
    init?(_ bytes: [UInt8]) {
        guard bytes.count >= Self.fixedLength, bytes.starts(with: Self.magic) else { return nil }
        func integer(_ start: Int) -> UInt32 { bytes[start..<start + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) } }
        blocks = integer(8)
        let count = Int(integer(12))
        guard count <= LayerChain.partLimit, bytes.count >= Self.fixedLength + 32 * count else { return nil }
        chains = (0..<count).compactMap { number in
            let start = Self.fixedLength + 32 * number
            return Digest(bytes: Array(bytes[start..<start + 32]))
        }
    }

    var bytes: [UInt8] {
        let integers = [blocks, UInt32(chains.count)].flatMap { value in [0, 8, 16, 24].map { UInt8(truncatingIfNeeded: value >> $0) } }
        return Self.magic + integers + chains.flatMap(\.bytes)
    }

    /// In bytes.
    static let lengthLimit = fixedLength + 32 * LayerChain.partLimit
}
