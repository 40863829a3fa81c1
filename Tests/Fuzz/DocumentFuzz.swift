// libFuzzer's entry for JSON documents of images and engines. What must hold: no trap, no endless loop, and what was understood is the same after it has been written and read again.
@testable import OCI

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzDocument(_ start: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    if let value = JSONValue(bytes) {
        for isIndented in [false, true] {
            guard let text = try? value.text(limit: 64 << 20, indented: isIndented) else { preconditionFailure("what was read can't be written") }
            precondition(JSONValue(text) == value.withoutOtherNumbers, "another value is read back")
            precondition(text.allSatisfy { $0 >= 0x20 && $0 != 0x7F || isIndented && $0 == 0x0A }, "control characters are written")
        }
    }
    if let index = try? ImageIndex(json: bytes, name: "index") {
        let written = JSONValue.object(("manifests", .array(index.manifests.map(\.json))))
        let again = (try? written.text(limit: 64 << 20)).flatMap { try? ImageIndex(json: $0, name: "index") }
        precondition(again == index, "another index is read back")
        for word in ["docker.io/library/nginx:1.27", "linux", ""] where !bytes.contains(UInt8(ascii: "\\")) {
            let found = try? ImageIndex.entries(of: bytes, saying: [word], name: "index")
            precondition(found == entries(bytes, saying: word), "other entries are found than there are")
        }
        for descriptor in index.manifests { _ = descriptor.annotations.values.map { try? ImageName($0) } }
    }
    if let manifest = try? ImageManifest(json: bytes, name: "manifest") { _ = manifest.layers.map { MediaType($0.mediaType) } }
    _ = try? ImageConfiguration(json: bytes, name: "configuration")
    _ = try? ConfigurationDetails(json: bytes, name: "configuration")
    _ = try? DockerArchiveImage.list(json: bytes, name: "manifest.json")
    _ = try? RuntimeSpecification(json: bytes, name: "config.json")
    return 0
}

/// The same by way of whole values.
private func entries(_ bytes: [UInt8], saying word: String) -> [Descriptor]? {
    guard let value = JSONValue(bytes), let object = try? JSONObject(value), case .array(let entries) = object.value("manifests") else { return nil }
    return entries.filter { $0.says(word) }.compactMap { try? Descriptor($0) }
}

extension JSONValue {
    fileprivate func says(_ word: String) -> Bool {
        switch self {
        case .string(let text): Array(text.utf8) == Array(word.utf8)
        case .array(let values): values.contains { $0.says(word) }
        case .object(let members): members.contains { Array($0.name.utf8) == Array(word.utf8) || $0.value.says(word) }
        default: false
        }
    }

    /// The parser doesn't keep them, so the writer can't.
    fileprivate var withoutOtherNumbers: JSONValue {
        switch self {
        case .otherNumber: .null
        case .array(let values): .array(values.map(\.withoutOtherNumbers))
        case .object(let members): .object(members.map { Member(name: $0.name, value: $0.value.withoutOtherNumbers) })
        default: self
        }
    }
}
