// SHA-256 of what the host reads or stores. Layers that come as a local image are checked by the guest instead.
import CCrypto
public import LinuxSystem
public import OCI

/// SHA-256 of bytes that come in pieces.
public struct ContentHash {
    private var context = SHA256_CTX()

    public init() {
        // SAFETY: fills the context that this value owns. The low-level functions can't fail.
        unsafe _ = ccrypto_sha256_begin(&context)
    }

    public mutating func add(_ bytes: UnsafeRawBufferPointer) {
        // SAFETY: reads exactly the caller's buffer.
        unsafe _ = ccrypto_sha256_add(&context, bytes.baseAddress, bytes.count)
    }

    /// Of everything that was added so far.
    public func digest() -> Digest {
        var (copy, bytes) = (context, [UInt8](repeating: 0, count: 32))
        // SAFETY: writes the array's 32 bytes.
        unsafe bytes.withUnsafeMutableBufferPointer { unsafe _ = ccrypto_sha256_end(&copy, $0.baseAddress) }
        guard let digest = Digest(bytes: bytes) else { preconditionFailure("SHA-256 has 32 bytes") }
        return digest
    }
}

extension Digest {
    /// SHA-256 of `bytes`.
    public init(of bytes: [UInt8]) {
        var hash = ContentHash()
        // SAFETY: the buffer is the array's own storage during the call.
        unsafe bytes.withUnsafeBytes { unsafe hash.add($0) }
        self = hash.digest()
    }
}

extension FileRange {
    /// SHA-256 of all of its bytes.
    public func digest() throws(SystemError) -> Digest {
        var hash = ContentHash()
        var done: UInt64 = 0
        while done < length {
            let bytes = try readAt(file.descriptor.raw, offset: offset + done, count: Int(min(length - done, 1 << 20)))
            // A file that became shorter: its digest tells.
            if bytes.isEmpty { break }
            // SAFETY: the hash reads the array's own storage during the call.
            unsafe bytes.withUnsafeBytes { unsafe hash.add($0) }
            done += UInt64(bytes.count)
        }
        return hash.digest()
    }
}

extension [UInt8] {
    /// SHA-256 of the bytes is `digest`.
    func hasDigest(_ digest: Digest) -> Bool { Digest(of: self) == digest }
}

/// Identifiers of stacks of layers: config.md of the OCI image specification, "Layer ChainID".
public enum ChainID {
    /// One for each layer, the lowest first: of the layer alone, of the two lowest, of the three lowest, …
    public static func all(_ diffIDs: [Digest]) -> [Digest] {
        var chain: [Digest] = []
        for diffID in diffIDs {
            chain.append(chain.last.map { Digest(of: Array("\($0) \(diffID)".utf8)) } ?? diffID)
        }
        return chain
    }

    /// Of all layers together; nil where there are none.
    public static func whole(_ diffIDs: [Digest]) -> Digest? { all(diffIDs).last }
}
