// gzip (RFC 1952, many members) and zstd (RFC 8878, many frames) by zlib and libzstd; and tar as it is.
internal import AgentProtocol
internal import CGuest

/// What a call of `Decompressor.step` did.
struct DecompressorStep {
    var consumed: Int
    var produced: Int
}

enum DecompressorError: Error {
    /// The bytes aren't of this format, or are damaged.
    case damaged
    /// zstd: the frame wants a larger window than `Decompressor.windowLog`.
    case windowTooLarge
    case outOfMemory
    /// Something other than zeros follows the last gzip member.
    case trailingBytes
}

/// A state machine around the library's own: bytes in, bytes out, and whether the input may end here.
@safe final class Decompressor {
    /// zstd's own default limit: 128 MiB. What needs more (`zstd --long=28` and up) no registry's client unpacks either.
    static let windowLog: Int32 = 27

    @safe private enum Machine {
        case copy
        case gzip
        case zstd(OpaquePointer)
    }

    private var machine = Machine.copy
    private var gzip = unsafe z_stream()
    /// Whether the input may end where it is.
    private(set) var isComplete = true
    private var sawGzipEnd = false

    init(_ compression: LayerCompression) throws(DecompressorError) {
        switch compression {
        case .none: break
        case .gzip:
            // SAFETY: initialises the structure, which has its final address as a class's stored property.
            guard unsafe guest_inflate_init(&gzip) == Z_OK else { throw .outOfMemory }
            machine = .gzip
            isComplete = false
        case .zstd:
            // SAFETY: the context is freed in deinit.
            guard let context = unsafe ZSTD_createDCtx() else { throw .outOfMemory }
            _ = unsafe ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, Decompressor.windowLog)
            unsafe machine = .zstd(context)
            isComplete = false
        }
    }

    deinit {
        // SAFETY: each was initialised in init.
        switch machine {
        case .copy: break
        case .gzip: _ = unsafe inflateEnd(&gzip)
        case .zstd(let context): _ = unsafe ZSTD_freeDCtx(context)
        }
    }

    /// Takes bytes of `input` and fills `output` from its start.
    func step(_ input: UnsafeRawBufferPointer, _ output: UnsafeMutableRawBufferPointer) throws(DecompressorError) -> DecompressorStep {
        switch machine {
        case .copy:
            let count = min(input.count, output.count)
            // SAFETY: count is within both buffers, which are distinct.
            if count > 0 { unsafe output.baseAddress.unsafelyUnwrapped.copyMemory(from: input.baseAddress.unsafelyUnwrapped, byteCount: count) }
            return DecompressorStep(consumed: count, produced: count)
        case .gzip: return try unsafe gzipStep(input, output)
        case .zstd(let context): return try unsafe zstdStep(context, input, output)
        }
    }

    private func gzipStep(_ input: UnsafeRawBufferPointer, _ output: UnsafeMutableRawBufferPointer) throws(DecompressorError) -> DecompressorStep {
        var skipped = 0
        if sawGzipEnd {
            // gzip(1) lets zeros follow the last member (tape blocks); anything else begins another one.
            while skipped < input.count, unsafe input[skipped] == 0 { skipped += 1 }
            if skipped == input.count { return DecompressorStep(consumed: skipped, produced: 0) }
            guard unsafe input[skipped] == 0x1F else { throw .trailingBytes }
            _ = unsafe inflateReset(&gzip)
            sawGzipEnd = false
            isComplete = false
        }
        // SAFETY: zlib reads avail_in bytes and writes avail_out bytes at most. It doesn't write through next_in (z_const is off in Debian's build).
        unsafe gzip.next_in = UnsafeMutablePointer(mutating: input.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: UInt8.self)) + skipped
        unsafe gzip.avail_in = UInt32(input.count - skipped)
        unsafe gzip.next_out = output.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: UInt8.self)
        unsafe gzip.avail_out = UInt32(output.count)
        let result = unsafe inflate(&gzip, Z_NO_FLUSH)
        let step = unsafe DecompressorStep(consumed: input.count - Int(gzip.avail_in), produced: output.count - Int(gzip.avail_out))
        switch result {
        case Z_OK, Z_BUF_ERROR: return step
        case Z_STREAM_END:
            sawGzipEnd = true
            isComplete = true
            return step
        case Z_MEM_ERROR: throw .outOfMemory
        default: throw .damaged
        }
    }

    private func zstdStep(
        _ context: OpaquePointer, _ input: UnsafeRawBufferPointer, _ output: UnsafeMutableRawBufferPointer
    ) throws(DecompressorError) -> DecompressorStep {
        // SAFETY: the library stays within size of both.
        var source = unsafe ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
        var target = unsafe ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
        let result = unsafe ZSTD_decompressStream(context, &target, &source)
        if ZSTD_isError(result) != 0 {
            switch guest_zstd_error(result) {
            case GUEST_ZSTD_WINDOW_TOO_LARGE: throw .windowTooLarge
            case GUEST_ZSTD_NO_MEMORY: throw .outOfMemory
            default: throw .damaged
            }
        }
        let step = unsafe DecompressorStep(consumed: source.pos, produced: target.pos)
        // Zero: a frame is complete and flushed. A call that does nothing asks for the next frame's header.
        if step.consumed > 0 || step.produced > 0 { isComplete = result == 0 }
        return step
    }
}
