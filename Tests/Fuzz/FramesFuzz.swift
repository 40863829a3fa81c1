// libFuzzer's entry for what host and agent tell each other: frames in pieces, messages of both directions, and `Wire` below. What must hold: no trap, nothing
// reserved on a count's word alone, and what was understood is the same after it has been written and read again.
import AgentProtocol
import Wire

@_silgen_name("fuzz_allocated") private func allocatedBytes() -> Int

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzFrames(_ start: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
    guard count > 2 else { return 0 }
    let bytes = Array(UnsafeBufferPointer(start: start + 1, count: count - 1))
    let before = allocatedBytes()
    messages(Frame(kind: UInt16(start[0] & 7), payload: bytes))
    stream(bytes, step: Int(start[0]) + 1)
    primitives(bytes)
    // Lists hold values of some dozen bytes each, grow by doubling, and are decoded a few times here.
    precondition(allocatedBytes() - before < 64 << 10 + 2000 * count, "\(allocatedBytes() - before) bytes were allocated for \(count)")
    return 0
}

private func messages(_ frame: Frame) {
    if let message = try? HostMessage(frame) {
        precondition((try? HostMessage(message.frame)) == message, "another message is read back")
    }
    if let message = try? AgentMessage(frame) {
        precondition((try? AgentMessage(message.frame)) == message, "another message is read back")
    }
}

private func stream(_ bytes: [UInt8], step: Int) {
    var reader = FrameReader()
    var position = 0
    var taken = 0
    while position < bytes.count {
        reader.append(bytes[position..<min(position + step, bytes.count)])
        position = min(position + step, bytes.count)
        while true {
            guard let next = try? reader.next() else { return }
            precondition(taken + next.payload.count + Frame.headerLength <= position, "a frame of bytes that aren't there")
            precondition(Array(bytes[taken..<taken + next.bytes.count]) == next.bytes, "another frame is written")
            taken += next.bytes.count
            messages(next)
        }
    }
}

private struct Nested: WireCodable, Equatable {
    var values: [Text]

    init(from decoder: inout WireDecoder) throws(WireError) { values = try decoder.list(atMost: 1000) }
    func encode(into encoder: inout WireEncoder) { encoder.list(values) }
}

/// The first byte of each step says what is read next.
private func primitives(_ bytes: [UInt8]) {
    var decoder = WireDecoder(bytes)
    do throws(WireError) {
        while decoder.remaining > 0 {
            let before = decoder.remaining
            switch try decoder.integer(UInt8.self) % 8 {
            case 0: _ = try decoder.integer(UInt16.self)
            case 1: _ = try decoder.integer(UInt64.self)
            case 2: _ = try decoder.signed()
            case 3: _ = try decoder.boolean()
            case 4: _ = try decoder.byteString(atMost: 1 << 20)
            case 5: _ = try decoder.list(of: Nested.self, atMost: 1 << 20)
            case 6: _ = try decoder.optional(of: Text.self)
            default: _ = try decoder.raw(3)
            }
            precondition(decoder.remaining < before && decoder.remaining >= 0, "nothing was read")
        }
        try decoder.finish()
    } catch {}
    if let nested = try? Nested(wireBytes: bytes) { precondition(nested.wireBytes == bytes, "another value is written") }
}
