// What one layer has written: a set, small in code because it is asked only by whiteouts, which are few.

struct WrittenPaths {
    private var hashes: [UInt64] = []
    private var paths: [[UInt8]] = []

    mutating func insert(_ path: [UInt8]) {
        hashes.append(WrittenPaths.hash(path))
        paths.append(path)
    }

    func contains(_ path: [UInt8]) -> Bool {
        let hash = WrittenPaths.hash(path)
        for index in 0..<hashes.count where hashes[index] == hash && paths[index] == path { return true }
        return false
    }

    /// FNV-1a. Collisions cost a comparison, nothing else.
    private static func hash(_ path: [UInt8]) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in path { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return hash
    }
}
