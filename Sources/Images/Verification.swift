// Digests of the documents that the host reads; the guest checks those of the layers.
import CCrypto
import OCI

extension [UInt8] {
    /// SHA-256 of the bytes is `digest`.
    func hasDigest(_ digest: Digest) -> Bool {
        var computed = [UInt8](repeating: 0, count: 32)
        // SAFETY: reads exactly this array and writes the 32 bytes of the other one.
        let succeeded = unsafe withUnsafeBytes { bytes in
            unsafe computed.withUnsafeMutableBufferPointer { unsafe ccrypto_sha256(bytes.baseAddress, bytes.count, $0.baseAddress) }
        }
        return succeeded == 1 && computed == digest.bytes
    }
}
