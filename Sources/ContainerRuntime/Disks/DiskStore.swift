// The store of disk images: `disks` in the image store's directory.
//
//   CHAIN.map        a whole disk as runs of blocks in files; it exists when its map does, and its map's modification time says when it was last used
//   ID.blocks        the blocks that one part of a chain changed, in the order in which they were first written
//   CHAIN.lock       held by the process that unpacks the chain's last part
//   unfinished-ID    a map or blocks to be, locked by its maker
//
// Maps and blocks come to their names complete and synced, and never change. Whoever relies on a disk holds its map locked (shared); a removed map takes
// along the blocks that no other map counts on (DiskStore+Removal.swift).
import CLinux
import Glibc
import Images
import LaunchConfiguration
import LinuxSystem
import OCI

final class DiskStore: Sendable {
    private let store: ContentStore
    /// The `disks` directory.
    let directory: OwnedDescriptor
    /// For error texts.
    let path: String

    /// The part of the image store that holds disks. Everything that `store` keeps from being removed stays as long as this value lives.
    init(of store: ContentStore) throws(SystemError) {
        self.store = store
        path = store.path + "/disks"
        directory = try OwnedDescriptor.open(path, O_RDONLY | O_DIRECTORY)
    }

    func failure(_ error: SystemError) -> ContainerError {
        error.errno == ENOSPC || error.errno == EDQUOT ? .diskStoreFull(path: path) : .diskStore(path: path, error)
    }

    static func blocksName(_ id: UInt64) -> String { hexadecimalText((0..<8).map { UInt8(truncatingIfNeeded: id >> (56 - 8 * $0)) }) + ".blocks" }
    static func mapName(_ chain: Digest) -> String { chain.hexadecimal + ".map" }
    static func lockName(_ chain: Digest) -> String { chain.hexadecimal + ".lock" }

    // MARK: Finding

    /// The disk of a chain; nil where there is none, or where a file of it is missing, damaged or no disk of ours: then it can be unpacked again.
    func find(_ chain: Digest) throws(ContainerError) -> ImageDisk? {
        do throws(SystemError) {
            guard let map = try openMap(chain), map.size <= UInt64(ImageDiskMap.lengthLimit) else { return nil }
            guard let (header, runs) = ImageDiskMap.decode(try readAt(map.descriptor.raw, offset: 0, count: Int(map.size))) else { return nil }
            var files: [OpenFile] = []
            for id in header.files {
                guard let file = try open(Self.blocksName(id)) else { return nil }
                files.append(file)
            }
            // Blocks that became fewer.
            let fileBlocks = files.map { $0.size / DiskMap.blockSize }
            guard DiskMap.decode(runs, blocks: header.blocks, fileBlocks: fileBlocks)?.isEmpty == false else { return nil }
            // Somebody else's store can be used, but nobody learns that it was.
            _ = futimens(map.descriptor.raw, nil)
            return ImageDisk(map: map, header: header, files: files)
        } catch { throw failure(error) }
    }

    /// Locked, and still the one of that name after that.
    private func openMap(_ chain: Digest) throws(SystemError) -> OpenFile? {
        let name = Self.mapName(chain)
        while let map = try open(name) {
            try map.descriptor.lock(.shared)
            if try directory.status(ofChild: name)?.inode == map.descriptor.status().inode { return map }
        }
        return nil
    }

    func open(_ name: String) throws(SystemError) -> OpenFile? {
        do throws(SystemError) {
            let descriptor = try directory.open(child: name, O_RDONLY | O_NONBLOCK)
            let status = try descriptor.status()
            return status.kind == .regular ? OpenFile(owning: descriptor, size: status.size) : nil
        } catch {
            if error.errno == ENOENT { return nil }
            throw error
        }
    }

    // MARK: Making

    /// How much may be written, in bytes: an image that unpacks to more than anybody expected must not fill the disk to its last block.
    func room() throws(SystemError) -> UInt64 {
        let space = try FileSystemSpace(of: directory)
        return space.available - min(space.available, min(space.total / 20, 1 << 30))
    }

    /// Held by the one process that unpacks `chain`'s last part; waits for another one that does.
    func lock(_ chain: Digest) throws(ContainerError) -> ChainLock {
        let name = Self.lockName(chain)
        do throws(SystemError) {
            while true {
                let file = try directory.open(child: name, O_RDWR | O_CREAT, mode: 0o600)
                try file.lock(.exclusive)
                // Its last holder may have removed the name.
                if try directory.status(ofChild: name)?.inode == file.status().inode { return ChainLock(file, name: name, in: self) }
            }
        } catch { throw failure(error) }
    }

    /// A file that goes away with its last owner unless it is published.
    func makeFile() throws(ContainerError) -> UnfinishedFile {
        var generator = SystemRandomNumberGenerator()
        let id: UInt64 = generator.next()
        let name = UnfinishedFile.prefix + String(id, radix: 16)
        do throws(SystemError) {
            let file = try directory.open(child: name, O_RDWR | O_CREAT | O_EXCL, mode: 0o600)
            // Tells it from what a killed process left.
            try file.lock(.exclusive)
            return UnfinishedFile(OpenFile(owning: file), id: id, name: name, in: self)
        } catch { throw failure(error) }
    }
}

/// A file in the disk store under a name that means nothing.
final class UnfinishedFile: Sendable {
    static let prefix = "unfinished-"

    let file: OpenFile
    let id: UInt64
    private let name: String
    private let store: DiskStore

    init(_ file: OpenFile, id: UInt64, name: String, in store: DiskStore) {
        self.file = file
        self.id = id
        self.name = name
        self.store = store
    }

    // After `publish` there is nothing of that name.
    deinit { _ = try? store.directory.remove(child: name) }

    /// Complete: synced, and under its own name from now on.
    func publish(as newName: String) throws(ContainerError) {
        do throws(SystemError) {
            try file.descriptor.synchronize()
            try store.directory.rename(child: name, to: newName, in: store.directory)
            try store.directory.synchronize()
        } catch { throw store.failure(error) }
    }
}

/// The right to unpack a part; given up with the value.
final class ChainLock: Sendable {
    private let file: OwnedDescriptor
    private let name: String
    private let store: DiskStore

    init(_ file: consuming OwnedDescriptor, name: String, in store: DiskStore) {
        self.file = file
        self.name = name
        self.store = store
    }

    deinit { _ = try? store.directory.remove(child: name) }
}
