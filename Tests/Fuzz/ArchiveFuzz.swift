// libFuzzer's entry for the archive parser.
// The first byte chooses how the rest is cut into pieces. What must hold: no trap, no endless loop, and by headers alone the same members as by streaming.
@testable import Archive

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzArchive(_ start: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
    guard count > 1 else { return 0 }
    let bytes = Array(UnsafeBufferPointer(start: start + 1, count: count - 1))
    let streamed = stream(bytes, step: Int(start[0]) * 8 + 1)
    let skipped = headers(bytes)
    // Streaming stops at the end of the bytes, in the middle of a member's data if need be; reading by headers skips beyond it.
    precondition(skipped.count >= streamed.count && Array(skipped.prefix(streamed.count)) == streamed, "the two ways of reading differ")
    return 0
}

private func stream(_ bytes: [UInt8], step: Int) -> [ArchiveEntry] {
    var parser = ArchiveParser()
    var entries: [ArchiveEntry] = []
    var start = 0
    while start < bytes.count {
        let piece = Array(bytes[start..<min(start + step, bytes.count)])
        start += piece.count
        var index = 0
        while index < piece.count {
            guard let (event, consumed) = try? parser.feed(piece.span, from: index) else { return entries }
            index += consumed
            switch event {
            case .needsMore: break
            case .end: return entries
            case .entry(let entry): entries.append(entry)
            }
        }
    }
    try? parser.finish()
    return entries
}

private func headers(_ bytes: [UInt8]) -> [ArchiveEntry] {
    var parser = ArchiveParser()
    var entries: [ArchiveEntry] = []
    while parser.position < UInt64(bytes.count) {
        let position = Int(parser.position)
        let window = Array(bytes[position..<min(position + 1024, bytes.count)])
        guard let (event, _) = try? parser.feed(window.span) else { return entries }
        switch event {
        case .needsMore: break
        case .end: return entries
        case .entry(let entry):
            entries.append(entry)
            parser.skipData()
        }
    }
    return entries
}
