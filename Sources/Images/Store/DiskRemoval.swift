// Disks made of unpacked layers go when no image needs them.
import OCI

extension ContentStore {
    /// Removes the disks of stacks of layers that are not among `chains`; returns how many bytes that freed. The caller holds the exclusive lock.
    func removeDisks(except chains: Set<Digest>) throws(StoreError) -> UInt64 {
        // Nothing makes disks yet.
        0
    }
}
