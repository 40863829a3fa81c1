// The tables from which the kernel learns about its machine.
import AddressSpace
import KVM
import Testing

@testable import Machine

@Test(arguments: [1, 2, 4, 63, 64]) func multiprocessorTableSumsToZeroAndListsEveryCPU(cpus: Int) throws {
    let table = MultiprocessorTable.bytes(cpus: cpus)
    #expect(table.reduce(0, &+) == 0)
    #expect(Int(field(table, 4, UInt16.self)) == table.count)
    // CPUs, one bus, one IOAPIC, 24 inputs, two local interrupts.
    #expect(Int(field(table, 34, UInt16.self)) == cpus + 1 + 1 + 24 + 2)
    let processors = (0..<cpus).map { 44 + 20 * $0 }
    #expect(processors.allSatisfy { table[$0] == 0 && table[$0 + 3] & 1 == 1 })
    #expect(processors.map { Int(table[$0 + 1]) } == Array(0..<cpus))
    // The table must end before its own floating pointer.
    #expect(Layout.multiprocessorTable.value + UInt64(table.count) <= Layout.multiprocessorPointer.value)
}

@Test func multiprocessorPointerLiesWhereKernelsLook() throws {
    let memory = try GuestMemory(size: 32 << 20)
    try MultiprocessorTable.write(cpus: 2, to: memory)
    let pointer = try memory.read(16, at: GuestAddress(639 << 10))
    #expect(Array(pointer[..<4]) == Array("_MP_".utf8))
    #expect(pointer.reduce(0, &+) == 0)
    #expect(field(pointer, 4, UInt32.self) == UInt32(Layout.multiprocessorTable.value))
}

@Test(arguments: [0, 65, -1]) func impossibleNumbersOfCPUsAreRefused(cpus: Int) throws {
    let memory = try GuestMemory(size: 32 << 20)
    #expect(throws: MachineError.tooManyCPUs(cpus)) { try MultiprocessorTable.write(cpus: cpus, to: memory) }
}

private let plainKernel = LoadedKernel(entry: GuestAddress(0x100_0000), end: GuestAddress(0x200_0000), setupHeader: [])

@Test func zeroPageDescribesRAMAroundTheGap() throws {
    let memory = try GuestMemory(size: 5 << 30)
    let page = ZeroPage(kernel: plainKernel, commandLine: Array("quiet".utf8), seed: [UInt8](repeating: 9, count: 32))
    try page.write(to: memory)
    let bytes = try memory.read(4096, at: Layout.zeroPage)
    #expect(bytes[0x1E8] == 3)
    let ranges = (0..<3).map { (field(bytes, 0x2D0 + 20 * $0, UInt64.self), field(bytes, 0x2D8 + 20 * $0, UInt64.self)) }
    #expect(ranges[0].0 == 0 && ranges[0].1 == Layout.multiprocessorTable.value)
    #expect(ranges[1].0 == 1 << 20 && ranges[1].0 + ranges[1].1 == GuestMemory.gapStart)
    #expect(ranges[2].0 == GuestMemory.gapEnd && ranges[2].1 == 2 << 30)
    #expect(try memory.read(6, at: Layout.commandLine) == Array("quiet".utf8) + [0])
    #expect(field(bytes, 0x250, UInt64.self) == Layout.setupData.value)
}

@Test func aCommandLineThatIsTooLongIsRefused() throws {
    let memory = try GuestMemory(size: 32 << 20)
    let page = ZeroPage(kernel: plainKernel, commandLine: [UInt8](repeating: 0x61, count: 2048), seed: [])
    #expect(throws: MachineError.commandLineTooLong(2048)) { try page.write(to: memory) }
}

private func hostTable() -> CPUID {
    var features = CPUID.Entry(leaf: 1)
    features.ebx = 0x7F12_0800
    features.edx = 1 << 28
    return CPUID(entries: [
        CPUID.Entry(leaf: 0), features, CPUID.Entry(leaf: 0xA), CPUID.Entry(leaf: 0xB, subleaf: 0, significantSubleaf: true),
        CPUID.Entry(leaf: 0x8000_0008), CPUID.Entry(leaf: 0x8000_001E),
    ])
}

@Test(arguments: [(1, 0), (2, 1), (3, 2), (64, 6)] as [(Int, UInt32)]) func cpuidTellsEachCPUItsIdAndTopology(cpus: Int, bits: UInt32) throws {
    let policy = CPUIDPolicy(host: hostTable(), cpus: cpus, hasDeadlineTimer: true)
    for id in 0..<UInt32(cpus) {
        let table = policy.table(for: id)
        let features = try #require(table.first(1))
        #expect(features.ebx >> 24 == id)
        #expect(features.ecx >> 31 == 1)
        #expect(features.ecx >> 24 & 1 == 1)
        #expect((features.edx >> 28 & 1 == 1) == (cpus > 1))
        let levels = table.entries.filter { $0.leaf == 0xB }
        #expect(levels.map(\.eax) == [0, bits, 0])
        #expect(levels.map(\.edx) == [id, id, id])
        #expect(table.first(0xA) == nil)
        #expect(table.first(0x8000_001E)?.eax == id)
        #expect(table.first(0x8000_0008)?.ecx == bits << 12 | UInt32(cpus - 1))
    }
}

@Test func initrdGoesToTheEndOfLowMemoryOrIsRefused() throws {
    let memory = try GuestMemory(size: 32 << 20)
    #expect(throws: MachineError.initrdTooLarge(size: 40 << 20, memory: 32 << 20)) {
        try Initrd.load(FileRange(descriptor: -1, offset: 0, length: 40 << 20), above: GuestAddress(16 << 20), into: memory)
    }
    #expect(throws: MachineError.initrdTooLarge(size: 17 << 20, memory: 32 << 20)) {
        try Initrd.load(FileRange(descriptor: -1, offset: 0, length: 17 << 20), above: GuestAddress(16 << 20), into: memory)
    }
}
