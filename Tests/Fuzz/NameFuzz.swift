// libFuzzer's entry for names of images. What must hold: no trap, and a name that is taken is safe text, within its limits, and means the same however it is spelled.
@testable import OCI

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzName(_ start: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
    let text = String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
    guard let name = try? ImageName(text) else { return 0 }
    precondition((try? ImageName(name.canonical)) == name, "the canonical text means another name")
    precondition((try? ImageName(name.familiar)) == name, "the familiar text means another name")
    precondition(name.canonical.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }, "a name with strange characters")
    precondition(!name.repository.isEmpty && name.repository.utf8.count <= 255 && (name.tag ?? "").utf8.count <= 128, "a name beyond its limits")
    precondition(name.tag != nil || name.digest != nil, "a name that chooses nothing")
    // What a registry's address and a file's name are made of.
    precondition(name.repository.split(separator: "/", omittingEmptySubsequences: false).allSatisfy { $0.first != "." && !$0.isEmpty }, "a path")
    precondition(ImageName.areEqual(text, name.canonical), "a spelling that isn't the same")
    return 0
}
