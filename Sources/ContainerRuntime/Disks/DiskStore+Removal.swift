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
        var total = try used()
        if total <= limit { return }
        for entry in try entries().sorted(by: { $0.lastUse < $1.lastUse }) {
            try remove(entry)
            total -= min(total, try sweep())
            if total <= limit { return }
        }
    }

    /// Removes the disks that `isWanted` doesn't want. Returns how many bytes that freed, what killed processes left included.
    func remove(unless isWanted: (Digest) -> Bool) throws(SystemError) -> UInt64 {
        for entry in try entries() where !isWanted(entry.chain) { try remove(entry) }
        return try sweep()
    }

    // MARK: Looking

    /// In bytes.
    private func used() throws(SystemError) -> UInt64 {
        var total: UInt64 = 0
        for name in try names() { total += try directory.status(ofChild: name)?.size ?? 0 }
        return total
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
    private func remove(_ entry: Entry) throws(SystemError) {
        let name = Self.mapName(entry.chain)
        guard let map = try open(name), try map.descriptor.tryLock(.exclusive) else { return }
        try directory.remove(child: name)
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
