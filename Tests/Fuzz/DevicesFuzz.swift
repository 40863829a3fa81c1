// libFuzzer's entry for the virtio devices: the first byte chooses one, the rest are an attack's decisions (DeviceTesting/Attack.swift, where the properties are).
import DeviceTesting
import VirtioTesting

@_silgen_name("fuzz_allocated") private func allocatedBytes() -> Int

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzDevices(_ start: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
    var choices = InputChoices(Array(UnsafeBufferPointer(start: start, count: count)))
    let kind = choices.element(VictimKind.allCases)
    do {
        var attack = Attack(try Victim(kind), choices)
        attack.allocated = allocatedBytes
        while !attack.choices.isExhausted { try attack.step() }
        try attack.check()
    } catch { fatalError("\(error)") }
    return 0
}
