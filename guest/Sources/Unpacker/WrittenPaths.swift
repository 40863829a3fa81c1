// What one layer has written: a set that whiteouts ask.

struct WrittenPaths {
    private var paths: [[UInt8]] = []
    private var hashes: [UInt32] = []
    /// Numbers of paths, counted from 1, each at the first free slot from its hash on; 0 is free. A power of two of them, at least half of them free.
    /// Filled by the first whiteout that asks: most layers have none.
    private var slots: [UInt32] = []
    private var filled = 0

    mutating func insert(_ path: [UInt8]) { paths.append(path) }

    mutating func contains(_ path: [UInt8]) -> Bool {
        if paths.isEmpty { return false }
        if filled < paths.count { fill() }
        let hash = WrittenPaths.hash(path)
        var slot = Int(hash) & (slots.count - 1)
        while slots[slot] != 0 {
            let number = Int(slots[slot]) - 1
            if hashes[number] == hash && paths[number] == path { return true }
            slot = (slot + 1) & (slots.count - 1)
        }
        return false
    }

    private mutating func fill() {
        if slots.count < 2 * paths.count {
            var count = 64
            while count < 4 * paths.count { count *= 2 }
            slots = [UInt32](repeating: 0, count: count)
            filled = 0
        }
        while filled < paths.count {
            if filled == hashes.count { hashes.append(WrittenPaths.hash(paths[filled])) }
            var slot = Int(hashes[filled]) & (slots.count - 1)
            while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
            filled += 1
            slots[slot] = UInt32(filled)
        }
    }

    /// FNV-1a.
    private static func hash(_ path: [UInt8]) -> UInt32 {
        var hash: UInt32 = 0x811C_9DC5
        for byte in path { hash = (hash ^ UInt32(byte)) &* 0x0100_0193 }
        return hash
    }
}
