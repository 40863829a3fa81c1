// Digests of the documents that the host reads; the guest checks those of the layers.
import CDigest
import OCI

extension [UInt8] {
    /// SHA-256 of the bytes is `digest`.
    func hasDigest(_ digest: OCI.Digest) -> Bool {
        // SAFETY: cdigest_sha256 reads the array's own bytes and writes 32 into the new one.
        let own = unsafe [UInt8](unsafeUninitializedCapacity: 32) { buffer, initialized in
            unsafe withUnsafeBytes { unsafe cdigest_sha256($0.baseAddress, $0.count, buffer.baseAddress) }
            initialized = 32
        }
        return own == digest.bytes
    }
}
