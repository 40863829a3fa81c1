// SHA-256 by nettle.
internal import CGuest

struct SHA256Digest {
    private var context = sha256_ctx()

    init() {
        // SAFETY: initialises the structure that it is given.
        unsafe nettle_sha256_init(&context)
    }

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        // SAFETY: reads exactly the buffer's bytes.
        unsafe nettle_sha256_update(&context, bytes.count, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self))
    }

    /// Ends the computation.
    mutating func finish() -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 32)
        // SAFETY: writes 32 bytes (SHA256_DIGEST_SIZE).
        unsafe digest.withUnsafeMutableBytes { unsafe nettle_sha256_digest(&context, 32, $0.assumingMemoryBound(to: UInt8.self).baseAddress) }
        return digest
    }

    /// Asks the processor for its SHA extensions. Each CPUID is a trip to the hypervisor, so it is done where there is much to hash.
    static func useProcessorExtensions() { guest_use_sha_extensions() }
}
