// Removing disks: those that nobody wants, and those that were used longest ago where all together are too large. Never one that somebody relies on.
import Glibc
import Images
import LinuxSystem
import OCI

extension DiskStore {
    /// A disk as its map's file tells.
    private struct Entry {
        let chain: Digest
        /// In seconds.
        let lastUse: Int
        let files: [UInt64]
    }

    /// Removes disks until all together take at most `limit` bytes (nil: half of the file system), those that were used longest ago first.
    func evict(limit: UInt64?) throws(SystemError) {
        let half = try FileSystemSpace(of: directory).total / 2
        let limit = limit ?? half
        // What killed processes left goes in any case.
        repeat { _ = try sweep() } while try removeOldest(to: limit)
    }

    /// Removes maps until what is left should be at most `limit` bytes. False where there was nothing to do, or nothing that could be done.
    private func removeOldest(to limit: UInt64) throws(SystemError) -> Bool {
        let sizes = try sizes()
        var total = sizes.values.reduce(0, +)
        if total <= limit { return false }
        var hasRemoved = false
        let entries = try entries().sorted { $0.lastUse < $1.lastUse }
        // How many maps count on each file. Others may add to them meanwhile: it is the sweep that decides what goes.
        var users: [UInt64: Int] = [:]
        for file in entries.flatMap(\.files) { users[file, default: 0] += 1 }
        for entry in entries where total > limit {
            guard try remove(entry) else { continue }
            hasRemoved = true
            total -= min(total, sizes[Self.mapName(entry.chain)] ?? 0)
            for file in entry.files {
                users[file, default: 1] -= 1
                if users[file] == 0 { total -= min(total, sizes[Self.blocksName(file)] ?? 0) }
            }
        }
        return hasRemoved
    }

    /// Removes the disks that `isWanted` doesn't want. Returns how many bytes that freed, what killed processes left included.
    func remove(unless isWanted: (Digest) -> Bool) throws(SystemError) -> UInt64 {
        for entry in try entries() where !isWanted(entry.chain) { _ = try remove(entry) }
        return try sweep()
    }

    // MARK: Looking

    /// Of every file, in bytes.
    private func sizes() throws(SystemError) -> [String: UInt64] {
        var sizes: [String: UInt64] = [:]
        for name in try names() { sizes[name] = try directory.status(ofChild: name)?.size ?? 0 }
        return sizes
    }

    private func names() throws(SystemError) -> [String] {
        try directory.names(limit: .max).map { String(decoding: $0, as: UTF8.self) }
    }

    private func entries() throws(SystemError) -> [Entry] {
        var entries: [Entry] = []
        for name in try names() where name.hasSuffix(".map") {
            guard let chain = Digest(hexadecimal: name.utf8.dropLast(4)), let map = try open(name) else { continue }
            // Of another format: nothing can use it.
            let header = ImageDiskHeader(try readAt(map.descriptor.raw, offset: 0, count: ImageDiskHeader.lengthLimit))
            entries.append(Entry(chain: chain, lastUse: try map.descriptor.status().modified, files: header?.files ?? []))
        }
        return entries
    }

    // MARK: Removing

    /// Only the map, and only if nobody holds it.
    private func remove(_ entry: Entry) throws(SystemError) -> Bool {
        let name = Self.mapName(entry.chain)
        guard let map = try open(name), try map.descriptor.tryLock(.exclusive) else { return false }
        return try directory.remove(child: name)
    }

    /// Removes blocks that no map counts on, and what killed processes left. Returns how many bytes that freed.
    private func sweep() throws(SystemError) -> UInt64 {
        // Before the maps are looked at: blocks that come later are not in it.
        let names = try names()
        let needed = Set(try entries().flatMap(\.files).map { Self.blocksName($0) })
        var freed: UInt64 = 0
        for name in names where !name.hasSuffix(".map") && !needed.contains(name) {
            // The maker of blocks holds them until their map is there; that of a lock or an unfinished file as long as it lives.
            guard let file = try open(name), try file.descriptor.tryLock(.exclusive) else { continue }
            if try directory.remove(child: name) { freed += file.size }
        }
        return freed
    }
}
