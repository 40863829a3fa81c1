// A layer's blob that is known to be what its digest says, and that nobody changes any more.
import CLinux
import Glibc
import Images
import LinuxSystem
import OCI

struct VerifiedLayer: Sendable {
    let range: FileRange
    let compression: Compression
    let diffID: Digest

    /// A layer of the image store is taken as it lies there: it was verified on its way in. Anything else could change after a look at it, so it is copied to
    /// a file of ours first. The bytes are hashed, nothing more: what they mean is the guest's to find out.
    init(_ layer: ImageLayer, blob: Digest, name: String, _ copies: inout LayerCopies) throws(ContainerError) {
        compression = layer.compression
        diffID = layer.diffID
        let stored = try layer.bytes()
        if layer.isVerified {
            range = stored
            return
        }
        let (copy, hash) = try copies.add(stored)
        guard hash == blob else { throw .corruptedLayer(name: name, found: hash, expected: blob) }
        range = copy
    }
}

/// Copies of layers, one behind the other in a file without a meaning, which is there as long as this value.
struct LayerCopies {
    private let store: DiskStore
    private var file: UnfinishedFile?
    /// In bytes.
    private var end: UInt64 = 0

    init(in store: DiskStore) { self.store = store }

    /// Copies in pieces, and returns the digest of what was copied.
    fileprivate mutating func add(_ layer: FileRange) throws(ContainerError) -> (copy: FileRange, digest: Digest) {
        let copy = if let file { file } else { try store.makeFile() }
        file = copy
        var hash = ContentHash()
        var done: UInt64 = 0
        do throws(SystemError) {
            while done < layer.length {
                let bytes = try readAt(layer.file.descriptor.raw, offset: layer.offset + done, count: Int(min(layer.length - done, 1 << 20)))
                // A file that became shorter: its digest tells.
                if bytes.isEmpty { break }
                // SAFETY: the hash reads the array's own storage during the call.
                unsafe bytes.withUnsafeBytes { unsafe hash.add($0) }
                try writeAt(copy.file.descriptor.raw, offset: end + done, bytes)
                done += UInt64(bytes.count)
            }
        } catch { throw store.failure(error) }
        let range = FileRange(file: copy.file, offset: end, length: layer.length)
        end += done
        return (range, hash.digest())
    }
}

extension ImageLayer {
    /// The digest of the blob: what the manifest says, or what is known without one.
    func blobDigest() throws(ContainerError) -> Digest {
        // Archives that name no blobs mostly hold plain tar streams: then it is the same one.
        if let digest = digest ?? (compression == .none ? diffID : nil) { return digest }
        let range = try bytes()
        do throws(SystemError) { return try range.digest() } catch { throw .system(what: "a layer of the image cannot be read", error) }
    }

    fileprivate func bytes() throws(ContainerError) -> FileRange {
        do throws(ImageError) { return try open() } catch { throw .layer(error) }
    }
}
