// libFuzzer's entry for the guest's unpacker, built for the host: a layer's compressed tar stream into a root directory that is empty but for what a lower layer put there.
// What must hold: no trap, no endless loop, and a failure is one sentence without control characters. Only root can run it.
import AgentProtocol
import CGuest
import FirstProcess
import GuestSystem
import Unpacker
import Wire

@_silgen_name("fuzz_in_scratch_root")
private func inScratchRoot(_ body: @convention(c) (UnsafeMutableRawPointer?) -> Void, _ value: UnsafeMutableRawPointer?)

@_silgen_name("fuzz_file_in_memory") private func fileInMemory(_ bytes: UnsafeRawPointer?, _ count: Int) -> Int32

/// Between the two threads, which take turns.
nonisolated(unsafe) private var input: [UInt8] = []

/// The first byte chooses the compression, and how much of the rest is a lower layer.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzLayers(_ start: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
    guard count > 1 else { return 0 }
    input = Array(UnsafeBufferPointer(start: start, count: count))
    inScratchRoot({ _ in unpackInput() }, nil)
    return 0
}

private func unpackInput() {
    let compression: LayerCompression = input[0] & 7 == 6 ? .gzip : input[0] & 7 == 7 ? .zstd : .none
    let bytes = Array(input.dropFirst())
    let cut = input[0] & 8 != 0 ? bytes.count / 1024 * Int(input[0] >> 4) / 16 * 512 : 0
    for (index, part) in [bytes[..<cut], bytes[cut...]].enumerated() where !part.isEmpty || index == 1 {
        let copy = Array(part)
        let device = copy.withUnsafeBytes { fileInMemory($0.baseAddress, $0.count) }
        let layer = LayerSpec(
            name: "layer 1", device: 0, range: (0, UInt64(copy.count)), compression: compression, diffID: [],
            disk: (0, index == 0 || cut == 0, true))
        do throws(Failure) { try Unpacker.unpack(layer, from: device) } catch {
            precondition(!error.text.bytes.isEmpty && error.text.bytes.count < 4096, "no sentence")
            precondition(error.text.bytes.allSatisfy { $0 >= 0x20 && $0 != 0x7F }, "control characters in a sentence")
        }
        close(device)
    }
}
