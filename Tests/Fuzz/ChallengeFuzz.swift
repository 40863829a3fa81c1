// libFuzzer's entry for what a registry's headers say: challenges, ranges, and the Base 64 of credentials. What must hold: no trap, no endless loop, bounded
// results, and a challenge that is written out again means the same.

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzChallenges(_ start: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
    let text = String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
    let challenges = Challenge.parse(text)
    precondition(challenges.count <= 16, "too many challenges")
    precondition(challenges.allSatisfy { !$0.scheme.isEmpty && $0.scheme == $0.scheme.lowercased() }, "a strange scheme")
    precondition(Challenge.parse(challenges.map(written).joined(separator: ", ")) == challenges, "written out, the challenges differ")
    if let bytes = decodeBase64(text) { precondition(bytes.count <= text.utf8.count / 4 * 3 + 2, "more bytes than digits") }
    _ = ContentRange(text)
    return 0
}

private func written(_ challenge: Challenge) -> String {
    let parameters = challenge.parameters.sorted { $0.key < $1.key }.map { name, value in
        "\(name)=\"" + value.unicodeScalars.map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : "\($0)" }.joined() + "\""
    }
    return challenge.scheme + " " + parameters.joined(separator: ", ")
}
