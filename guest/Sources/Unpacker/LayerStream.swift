// A layer's tar stream: read from the device, verified and decompressed on the way.
internal import AgentProtocol
internal import FirstProcess
internal import GuestSystem
internal import Wire

/// Pulls: `next` fills the caller's buffer and says how much of it is valid.
final class LayerStream {
    static let inputLength = 512 << 10
    private static let outputLength = 256 << 10

    private let layer: LayerSpec
    private let device: Int32
    private let decompressor: Decompressor
    private let input: AlignedBuffer
    private var inputRange = 0..<0
    /// Bytes of the layer that were read from the device.
    private var read: UInt64 = 0
    /// What `next` wants to be given: little for little layers, because memory that was never touched costs a page fault each 4 KiB.
    var chunkLength: Int { layer.length < 32 << 10 ? 32 << 10 : LayerStream.outputLength }
    private var tarDigest: SHA256Digest?

    init(device: Int32, layer: LayerSpec) throws(Failure) {
        guard let input = AlignedBuffer(count: LayerStream.inputLength) else { throw LayerStream.memoryFailure(layer) }
        self.device = device
        self.layer = layer
        self.input = input
        if layer.length > 256 << 10 { SHA256Digest.useProcessorExtensions() }
        let first = try LayerStream.fill(input, device, layer, 0)
        inputRange = 0..<first
        read = UInt64(first)
        let compression = try LayerStream.compression(layer, input, first)
        do { decompressor = try Decompressor(compression) } catch { throw LayerStream.memoryFailure(layer) }
        tarDigest = layer.diffID.isEmpty ? nil : SHA256Digest()
    }

    /// The count of valid bytes at the start of `chunk`; 0 at the end, when everything has been verified.
    func next(into chunk: inout [UInt8]) throws(Failure) -> Int {
        while true {
            if inputRange.isEmpty, read < layer.length { try refill() }
            // Without input there may still be output that the library holds back.
            let step: DecompressorStep
            let decompressor = self.decompressor
            do throws(DecompressorError) {
                var target = chunk.mutableSpan
                // SAFETY: both buffers stay where they are for the length of the call.
                step = try unsafe input.withBytes(inputRange) { (source) throws(DecompressorError) in
                    try unsafe target.withUnsafeMutableBytes { (target) throws(DecompressorError) in try unsafe decompressor.step(source, target) }
                }
            } catch { throw failure(error) }
            inputRange = inputRange.lowerBound + step.consumed..<inputRange.upperBound
            if step.produced > 0 {
                // SAFETY: the library wrote this many bytes.
                unsafe chunk.withUnsafeBytes { unsafe tarDigest?.update(UnsafeRawBufferPointer(rebasing: $0[..<step.produced])) }
                return step.produced
            }
            if step.consumed == 0, inputRange.isEmpty, read == layer.length {
                try finish()
                return 0
            }
        }
    }

    private func refill() throws(Failure) {
        let count = try LayerStream.fill(input, device, layer, read)
        inputRange = 0..<count
        read += UInt64(count)
    }

    private func finish() throws(Failure) {
        guard decompressor.isComplete else {
            throw Failure(.image, "\(name: layer.name.bytes) is truncated: its compressed data ends too early; fetch or build the image again")
        }
        guard let found = tarDigest?.finish(), found != layer.diffID else { return }
        throw Failure(
            .image,
            "\(name: layer.name.bytes) is corrupted: the digest of its uncompressed archive is sha256:\(hex: found[...]), not sha256:\(hex: layer.diffID[...]); fetch or build the image again"
        )
    }

    private func failure(_ error: DecompressorError) -> Failure {
        switch error {
        case .damaged: Failure(.image, "\(name: layer.name.bytes) is corrupted: its compressed data can't be decoded; fetch or build the image again")
        case .windowTooLarge:
            Failure(.image, "\(name: layer.name.bytes) was compressed by zstd with a window of more than 128 MiB; compress it again without --long")
        case .outOfMemory: LayerStream.memoryFailure(layer)
        case .trailingBytes: Failure(.image, "\(name: layer.name.bytes) is corrupted: garbage follows its gzip data; fetch or build the image again")
        }
    }

    private static func memoryFailure(_ layer: LayerSpec) -> Failure {
        Failure(.outOfMemory, "the guest's memory is too small to decompress \(name: layer.name.bytes); use a larger --memory")
    }

    /// O_DIRECT reads whole blocks: the device pads every layer to one.
    private static func fill(
        _ buffer: AlignedBuffer, _ device: Int32, _ layer: LayerSpec, _ offset: UInt64
    ) throws(Failure) -> Int {
        let wanted = min(UInt64(buffer.count), layer.length - offset)
        if wanted == 0 { return 0 }
        do {
            let count = try buffer.fill(from: device, at: layer.offset + offset, limit: Int((wanted + 4095) / 4096 * 4096))
            if count > 0 { return min(count, Int(wanted)) }
        } catch { throw Failure(.image, "\(name: layer.name.bytes) can't be read: \(error); the image's file may be damaged or truncated") }
        throw Failure(.image, "\(name: layer.name.bytes) is truncated: the image's file ends too early; fetch or build the image again")
    }

    /// What the first bytes say, which must be what the host said; except that `none` may turn out compressed, as in some `docker save` archives.
    private static func compression(
        _ layer: LayerSpec, _ buffer: AlignedBuffer, _ count: Int
    ) throws(Failure) -> LayerCompression {
        let found = magic(buffer, count)
        if layer.compression == .none || found == layer.compression { return found }
        throw Failure(
            .image,
            "\(name: layer.name.bytes) is said to be compressed by \(layer.compression == .gzip ? "gzip" : "zstd" as StaticString), but is not; build the image again"
        )
    }

    private static func magic(_ buffer: AlignedBuffer, _ count: Int) -> LayerCompression {
        guard count >= 4 else { return .none }
        if buffer[0] == 0x1F, buffer[1] == 0x8B { return .gzip }
        let isFrame = buffer[0] == 0x28 && buffer[1] == 0xB5 && buffer[2] == 0x2F && buffer[3] == 0xFD
        let isSkippable = buffer[0] & 0xF0 == 0x50 && buffer[1] == 0x2A && buffer[2] == 0x4D && buffer[3] == 0x18
        return isFrame || isSkippable ? .zstd : .none
    }
}
