// Disks go when no image of the store needs them, or when all together take too much space.
import Images
import LinuxSystem
import OCI

enum DiskRemoval {
    /// Removes disks of `candidates` (stacks of stored layers, the lowest first; nil: all disks) that none of the `needed` stacks has.
    /// The caller holds the store's exclusive lock. Returns how many bytes that freed.
    static func remove(from store: ContentStore, candidates: [[Digest]]?, needed: [[Digest]]) throws(StoreError) -> UInt64 {
        let wanted = Set(needed.flatMap { LayerChain($0).parts.map(\.chain) })
        let removable = candidates.map { Set($0.flatMap { LayerChain($0).parts.map(\.chain) }) }
        do throws(SystemError) {
            return try DiskStore(of: store).remove { chain in wanted.contains(chain) || !(removable?.contains(chain) ?? true) }
        } catch { throw .system(path: store.path + "/disks", error) }
    }
}
