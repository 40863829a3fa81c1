// SHA-256 by libcrypto.
internal import CGuest

struct SHA256Digest {
    private var context = SHA256_CTX()

    init() {
        // SAFETY: initialises the structure that it is given.
        _ = unsafe SHA256_Init(&context)
    }

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        // SAFETY: reads exactly the buffer's bytes.
        _ = unsafe SHA256_Update(&context, bytes.baseAddress, bytes.count)
    }

    /// Ends the computation.
    mutating func finish() -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 32)
        // SAFETY: writes 32 bytes (SHA256_DIGEST_LENGTH).
        _ = unsafe digest.withUnsafeMutableBytes { unsafe SHA256_Final($0.assumingMemoryBound(to: UInt8.self).baseAddress, &context) }
        return digest
    }

    /// Lets the library ask the processor for its SHA extensions. Each CPUID is a trip to the hypervisor, so it is done where there is much to hash.
    static func useProcessorExtensions() { OPENSSL_cpuid_setup() }
}
