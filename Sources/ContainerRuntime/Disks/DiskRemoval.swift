// Disks go when no image of the store needs them.
import Images
import OCI

enum DiskRemoval {
    /// Removes disks of `candidates` (stacks of stored layers, the lowest first; nil: all disks) that none of the `needed` stacks has.
    /// The caller holds the store's exclusive lock. Returns how many bytes that freed.
    static func remove(from store: ContentStore, candidates: [[Digest]]?, needed: [[Digest]]) throws(StoreError) -> UInt64 {
        // Disks are only evicted so far.
        0
    }
}
