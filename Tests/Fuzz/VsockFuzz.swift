// libFuzzer's entry for the socket device's packets: the rings are in order, what travels in them isn't, and the host's ends do what they like.
import DeviceTesting
import VirtioTesting

@_silgen_name("fuzz_allocated") private func allocatedBytes() -> Int

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzVsock(_ start: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
    do {
        var attack = Attack(try Victim(.vsock), InputChoices(Array(UnsafeBufferPointer(start: start, count: count))))
        attack.allocated = allocatedBytes
        try attack.victim.driver.start()
        while !attack.choices.isExhausted { try attack.converse() }
        try attack.check()
    } catch { fatalError("\(error)") }
    return 0
}
