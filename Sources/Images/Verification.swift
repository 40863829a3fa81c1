// Digests of the documents that the host reads; the guest checks those of the layers.
import Crypto
import OCI

extension [UInt8] {
    /// SHA-256 of the bytes is `digest`.
    func hasDigest(_ digest: OCI.Digest) -> Bool {
        var hash = SHA256()
        // SAFETY: the buffer is the array's own storage and is only read during the call.
        unsafe withUnsafeBytes { unsafe hash.update(bufferPointer: $0) }
        return Array(hash.finalize()) == digest.bytes
    }
}
