// libFuzzer's entry for what a guest asks of its files. What must hold: no trap, and whatever is taken is within its bounds.
@testable import FUSE

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzRequest(_ start: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
    var bytes = Array(UnsafeBufferPointer(start: start, count: count))
    checkListing(bytes)
    // A fuzzer would take long to find out what the length has to be.
    if bytes.count >= 4 { for offset in 0..<4 { bytes[offset] = UInt8(truncatingIfNeeded: count >> (8 * offset)) } }
    guard let header = try? RequestHeader(bytes, of: count), let request = try? Request(header, bytes) else { return 0 }
    switch request.operation {
    case .lookUp(let name), .unlink(let name), .removeDirectory(let name), .link(_, let name): check(name)
    case .makeSymbolicLink(let name, let target):
        check(name)
        precondition((1...4095).contains(target.count) && !target.contains(0), "a target")
    case .makeNode(let file, _), .makeDirectory(let file), .create(let file, _), .createUnnamed(let file, _): check(file.name)
    case .rename(let old, _, let new, _):
        check(old)
        check(new)
    case .forget(let nodes): precondition(nodes.count <= Operation.forgottenLimit, "too many nodes")
    case .setExtendedAttribute(let name, let value, _):
        check(attribute: name)
        precondition(value.count <= 64 << 10, "a value")
    case .getExtendedAttribute(let name, _), .removeExtendedAttribute(let name): check(attribute: name)
    case .setAttributes(let changes):
        precondition(changes.mode ?? 0 <= 0o7777, "a mode")
        for case .at(let time) in [changes.accessed, changes.modified].compactMap({ $0 }) { precondition(time.nanoseconds < 1_000_000_000, "a time") }
    default: break
    }
    return 0
}

private func check(_ name: Name) {
    precondition((1...255).contains(name.bytes.count) && !name.bytes.contains(0) && !name.bytes.contains(0x2F), "a name")
    precondition(name.bytes != [0x2E] && name.bytes != [0x2E, 0x2E], "a name that leads elsewhere")
}

private func check(attribute name: [UInt8]) { precondition((1...255).contains(name.count) && !name.contains(0), "an attribute's name") }

/// The same bytes as what a server lists: each record lies within them, and the walk comes to an end.
private func checkListing(_ bytes: [UInt8]) {
    for hasEntries in [false, true] {
        var index = 0
        while let record = ListedRecord(bytes, index..<bytes.count, hasEntries: hasEntries) {
            precondition(record.length >= record.entryLength + 24 && record.length <= bytes.count - index, "a record beyond the listing")
            index += record.length
        }
    }
}
