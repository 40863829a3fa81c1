// The unpacker by itself, for tests on any Linux:
//   unpack-tool TARGET FILE OFFSET LENGTH none|gzip|zstd DIFFID|- [OFFSET …]
// unpacks the layers, all in the same file or device, into TARGET; on failure prints the kind's number and the sentence, and exits 1.
internal import AgentProtocol
internal import CGuest
internal import FirstProcess
internal import GuestSystem
internal import Unpacker
internal import Wire

private func argument(_ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>, _ index: Int32) -> [UInt8] {
    guard let text = unsafe arguments[Int(index)] else { return [] }
    // SAFETY: main's arguments are C strings.
    return unsafe Array(UnsafeRawBufferPointer(start: text, count: strlen(text)))
}

private func number(_ text: [UInt8]) -> UInt64 { text.reduce(0) { $0 * 10 + UInt64($1 - 0x30) } }

private func digest(_ text: [UInt8]) -> [UInt8] {
    guard text.count == 64 else { return [] }
    let digits = text.map { $0 < 0x3A ? $0 - 0x30 : $0 - 0x57 }
    return stride(from: 0, to: 64, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}

@_cdecl("main")
public func unpackToolMain(_ count: Int32, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Int32 {
    guard count >= 7, (count - 3) % 4 == 0 else { return 2 }
    var layers: [LayerSpec] = []
    for index in stride(from: Int32(3), to: count, by: 4) {
        let compression: LayerCompression =
            switch unsafe argument(arguments, index + 2).first {
            case UInt8(ascii: "g"): .gzip
            case UInt8(ascii: "z"): .zstd
            default: .none
            }
        let range = unsafe (number(argument(arguments, index)), number(argument(arguments, index + 1)))
        let name = Text(bytes: ("layer \(layers.count + 1)" as Sentence).bytes) ?? ""
        unsafe layers.append(
            LayerSpec(
                name: name, device: 0, range: range, compression: compression, diffID: digest(argument(arguments, index + 3)),
                disk: (0, layers.isEmpty, true)))
    }
    do throws(SystemError) {
        let device = try unsafe OwnedDescriptor.open(CPath(argument(arguments, 2)), O_RDONLY)
        try unsafe FileSystem.changeRoot(CPath(argument(arguments, 1)))
        try FileSystem.changeDirectory("/")
        umask(0)
        do throws(Failure) {
            for layer in layers { try Unpacker.unpack(layer, from: device.raw) }
            return 0
        } catch { try InputOutput.writeAll(2, ("\(Int(error.kind.rawValue)) \(error.text)\n" as Sentence).bytes) }
    } catch { try? InputOutput.writeAll(2, ("\(error)\n" as Sentence).bytes) }
    return 1
}
