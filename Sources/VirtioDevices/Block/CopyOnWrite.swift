// A disk whose changed blocks are kept apart from what it was made of, so that what it was made of can be shared.
//
//   content (read-only)     ████████████░░░░████████
//   changes, sealed           ▒▒      ▒▒▒▒               an earlier stage: read-only now
//   changes, current              ▓       ▓▓▓            appended to one file in the order of first writes
//
// `seal` ends a stage: the disk as it is then can be described, and what follows goes to the next file.

/// Where the disk's blocks are that have been written to.
private struct ChangedBlocks {
    /// Which file of changes, and which block in it.
    struct Place: Equatable {
        let stage: Int
        let fileBlock: UInt64

        func following(_ other: Place, by count: UInt64) -> Bool { stage == other.stage && fileBlock == other.fileBlock + count }
    }

    /// A disk of 64 GiB has 16 million blocks, most of them never written: leaves are made as they are needed.
    private static let leafLength: UInt64 = 1024
    /// A place as one number, plus one; 0: never written.
    private var leaves: [[UInt64]]

    init(blocks: UInt64) {
        leaves = Array(repeating: [], count: Int((blocks + ChangedBlocks.leafLength - 1) / ChangedBlocks.leafLength))
    }

    subscript(block: UInt64) -> Place? {
        get {
            let leaf = leaves[Int(block / ChangedBlocks.leafLength)]
            if leaf.isEmpty { return nil }
            let entry = leaf[Int(block % ChangedBlocks.leafLength)]
            return entry == 0 ? nil : Place(stage: Int((entry - 1) >> 40), fileBlock: (entry - 1) & (1 << 40 - 1))
        }
        set {
            let number = Int(block / ChangedBlocks.leafLength)
            if leaves[number].isEmpty { leaves[number] = Array(repeating: 0, count: Int(ChangedBlocks.leafLength)) }
            leaves[number][Int(block % ChangedBlocks.leafLength)] = newValue.map { UInt64($0.stage) << 40 + $0.fileBlock + 1 } ?? 0
        }
    }

    /// How many blocks from `block` on, at most `limit`, were never written.
    func unchanged(from block: UInt64, atMost limit: UInt64) -> UInt64 {
        var next = block
        while next < block + limit {
            if leaves[Int(next / ChangedBlocks.leafLength)].isEmpty {
                next = (next / ChangedBlocks.leafLength + 1) * ChangedBlocks.leafLength
            } else if self[next] == nil {
                next += 1
            } else {
                break
            }
        }
        return min(next - block, limit)
    }
}

public final class CopyOnWrite {
    static let blockSize = BlockBackend.alignment

    private let content: BlockBackend
    /// Open for reading and writing; one for each stage.
    private let files: [Int32]
    private var changed: ChangedBlocks
    /// Number of the file that takes changes; `files.count` when all are sealed.
    private var stage = 0
    /// In blocks.
    private var fileLength: UInt64
    /// How many more blocks the files may get.
    private var room: UInt64

    /// What `content` has in the first of `files` counts as written in the first stage. `started` is the length of that file in bytes, a multiple of 4096.
    /// All files together get at most `limit` bytes more, and no more than the disk has: a guest that writes the same blocks in every stage comes to an end.
    public init(content: BlockBackend, files: [Int32], started: UInt64, limit: UInt64 = .max) throws(VirtioDevicesError) {
        guard !files.isEmpty, content.access == .readOnly, content.size.isMultiple(of: CopyOnWrite.blockSize),
            content.size / CopyOnWrite.blockSize <= UInt64(UInt32.max), started.isMultiple(of: CopyOnWrite.blockSize)
        else { throw .damagedMap(name: content.name) }
        self.content = content
        self.files = files
        changed = ChangedBlocks(blocks: content.size / CopyOnWrite.blockSize)
        fileLength = started / CopyOnWrite.blockSize
        room = min(content.size, limit) / CopyOnWrite.blockSize
        for extent in content.extents where extent.descriptor == files[0] {
            guard extent.offset.isMultiple(of: CopyOnWrite.blockSize), extent.length.isMultiple(of: CopyOnWrite.blockSize) else {
                throw .damagedMap(name: content.name)
            }
            for number in 0..<extent.length / CopyOnWrite.blockSize {
                changed[extent.position / CopyOnWrite.blockSize + number] = ChangedBlocks.Place(
                    stage: 0, fileBlock: extent.offset / CopyOnWrite.blockSize + number)
            }
        }
    }

    var name: String { content.name }
    var size: UInt64 { content.size }

    /// As `BlockBackend.piece`.
    func piece(at position: UInt64, atMost count: UInt64) -> BlockBackend.Piece {
        let block = position / CopyOnWrite.blockSize
        let inside = position % CopyOnWrite.blockSize
        let wanted = (inside + count + CopyOnWrite.blockSize - 1) / CopyOnWrite.blockSize
        guard let place = changed[block] else {
            let blocks = changed.unchanged(from: block, atMost: wanted)
            return content.piece(at: position, atMost: min(count, blocks * CopyOnWrite.blockSize - inside))
        }
        return file(place, count: min(count, run(from: block, place, atMost: wanted) * CopyOnWrite.blockSize - inside), inside: inside)
    }

    /// Where the next bytes are to be written, at most `count`; nil when no file may take them. The end is a multiple of 4096, and so is `position` unless
    /// the host wrote a part of its block just before.
    func place(forWriting position: UInt64, atMost count: UInt64) -> BlockBackend.Piece? {
        guard stage < files.count else { return nil }
        let block = position / CopyOnWrite.blockSize
        let inside = position % CopyOnWrite.blockSize
        let wanted = (inside + count) / CopyOnWrite.blockSize
        if let place = changed[block], place.stage == stage {
            return file(place, count: run(from: block, place, atMost: wanted) * CopyOnWrite.blockSize - inside, inside: inside)
        }
        let first = ChangedBlocks.Place(stage: stage, fileBlock: fileLength)
        var taken: UInt64 = 0
        while taken < wanted, room > 0, changed[block + taken]?.stage != stage {
            changed[block + taken] = ChangedBlocks.Place(stage: stage, fileBlock: fileLength)
            fileLength += 1
            room -= 1
            taken += 1
        }
        return taken == 0 ? nil : file(first, count: taken * CopyOnWrite.blockSize)
    }

    private func run(from block: UInt64, _ place: ChangedBlocks.Place, atMost limit: UInt64) -> UInt64 {
        var count: UInt64 = 1
        while count < limit, changed[block + count]?.following(place, by: count) == true { count += 1 }
        return count
    }

    private func file(_ place: ChangedBlocks.Place, count: UInt64, inside: UInt64 = 0) -> BlockBackend.Piece {
        .file(descriptor: files[place.stage], offset: place.fileBlock * CopyOnWrite.blockSize + inside, count: count)
    }

    /// Ends the stage and returns the disk as it is now: its extents in order, those that touch each other joined. Nil when they are more than `limit`.
    func seal(limit: Int) -> [BlockExtent]? {
        stage += 1
        fileLength = 0
        var extents: [BlockExtent] = []
        var position: UInt64 = 0
        while position < size {
            // A part in which nothing was changed is the content's; another one is found block by block.
            let unchanged = changed.unchanged(from: position / CopyOnWrite.blockSize, atMost: (size - position) / CopyOnWrite.blockSize)
            let end = unchanged > 0 ? position + unchanged * CopyOnWrite.blockSize : size
            repeat {
                let piece = unchanged > 0 ? content.piece(at: position, atMost: end - position) : self.piece(at: position, atMost: end - position)
                switch piece {
                case .zeros(let count): position += count
                case .file(let descriptor, let offset, let count):
                    CopyOnWrite.append(BlockExtent(position: position, descriptor: descriptor, offset: offset, length: count), to: &extents)
                    if extents.count > limit { return nil }
                    position += count
                }
            } while unchanged > 0 && position < end
        }
        return extents
    }

    private static func append(_ extent: BlockExtent, to extents: inout [BlockExtent]) {
        guard let last = extents.last, last.end == extent.position, last.descriptor == extent.descriptor, last.offset + last.length == extent.offset
        else { return extents.append(extent) }
        extents[extents.count - 1] = BlockExtent(
            position: last.position, descriptor: last.descriptor, offset: last.offset, length: last.length + extent.length)
    }
}
