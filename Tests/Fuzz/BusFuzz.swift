// libFuzzer's entry for a whole machine's buses: ports and registers at any address, in any width, with devices behind them that share guest RAM.
// The input is a program: accesses, attacks on one of the devices, turns of the event loop.
import AddressSpace
import DeviceTesting
import Machine
import Synchronization
import Virtio
import VirtioTesting

private final class Counter: Sendable {
    let value = Atomic<Int>(0)
    func raise() { value.wrappingAdd(1, ordering: .relaxed) }
}

private struct FuzzedMachine {
    var attacks: [Attack<InputChoices>] = []
    var ports = Bus()
    var registers = Bus()
    let memory: GuestMemory
    let printed = Counter()

    init() throws {
        memory = try GuestMemory(size: 2 << 20)
        for (index, kind) in ([.block, .vsock, .entropy, .console] as [VictimKind]).enumerated() {
            let victim = try Victim(kind, memory: memory)
            attacks.append(Attack(victim, InputChoices([])))
            try registers.attach(
                victim.driver.transport, start: Layout.virtioBase + UInt64(index) * Layout.virtioSize, count: MMIOTransport.regionSize)
        }
        let printed = printed
        try ports.attach(Serial { _ in printed.raise() }, start: Serial.basePort, count: Serial.portCount)
        try ports.attach(KeyboardController { printed.raise() }, start: KeyboardController.basePort, count: KeyboardController.portCount)
        try ports.attach(TimelinePort { _ in printed.raise() }, start: TimelinePort.basePort, count: TimelinePort.portCount)
    }

    private static let places: [UInt64] = [Serial.basePort, KeyboardController.basePort, TimelinePort.basePort, 0, 0xFFF8]

    mutating func step(_ choices: inout InputChoices) throws {
        switch choices.pick(4) {
        case 0:
            // Ports: string instructions repeat.
            let port = choices.chance(in: 2) ? UInt64(choices.pick(1 << 16)) : choices.element(Self.places) + UInt64(choices.pick(9))
            let size = choices.element([1, 2, 4, 1])
            let value = choices.bits()
            for _ in 0...choices.pick(4) {
                let read = ports.read(port, size: size)
                precondition(read >> UInt64(8 * size) == 0, "more bytes are read than there are")
                ports.write(port, size: size, value: value)
            }
        case 1:
            let offset = choices.chance(in: 4) ? choices.pick(0x8000) - 0x1000 : choices.pick(4) << 12 | choices.pick(0x140)
            let address = choices.chance(in: 16) ? choices.bits() : Layout.virtioBase &+ UInt64(bitPattern: Int64(offset))
            let size = choices.chance(in: 4) ? 1 + choices.pick(8) : 4
            let value = choices.chance(in: 4) ? choices.bits() : UInt64(choices.pick(256))
            registers.write(address, size: size, value: value)
            let read = registers.read(address, size: size)
            precondition(size == 8 || read >> UInt64(8 * size) == 0, "more bytes are read than there are")
        case 2:
            let index = choices.pick(attacks.count)
            attacks[index].choices = choices
            try attacks[index].step()
            choices = attacks[index].choices
        default: for attack in attacks { try attack.turn() }
        }
    }
}

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzBus(_ start: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
    var choices = InputChoices(Array(UnsafeBufferPointer(start: start, count: count)))
    do {
        var machine = try FuzzedMachine()
        while !choices.isExhausted { try machine.step(&choices) }
        // One driver's rings must not be where another's writes go.
        for attack in machine.attacks { attack.victim.driver.reset() }
        for attack in machine.attacks {
            try attack.check()
            attack.victim.driver.reset()
        }
    } catch { fatalError("\(error)") }
    return 0
}
