// The MP table (Intel MultiProcessor Specification 1.4): CPUs, one ISA bus, one IOAPIC, its inputs. Without it (and without ACPI) the
// kernel finds no IOAPIC.
public import AddressSpace

public enum MultiprocessorTable {
    public static func write(cpus: Int, to memory: GuestMemory) throws {
        guard (1...64).contains(cpus) else { throw MachineError.tooManyCPUs(cpus) }
        let table = bytes(cpus: cpus)
        try memory.write(table, at: Layout.multiprocessorTable)

        // §4.1, floating pointer: signature, table address, length in paragraphs, revision 1.4, checksum, features.
        var pointer = Array("_MP_".utf8)
        append(UInt32(Layout.multiprocessorTable.value), to: &pointer)
        pointer += [1, 4, 0, 0, 0, 0, 0, 0]
        pointer[10] = checksum(pointer)
        try memory.write(pointer, at: Layout.multiprocessorPointer)
    }

    /// The configuration table (§4.2, §4.3). APIC ids are 0 ..< cpus; the IOAPIC's follows them.
    static func bytes(cpus: Int) -> [UInt8] {
        var entries: [UInt8] = []
        var count: UInt16 = 0
        let ioAPIC = UInt8(cpus)
        let apicVersion: UInt8 = 0x14
        for id in 0..<cpus {
            // Type 0: enabled (bit 0), boot processor (bit 1); signature and feature flags of a modern CPU with APIC and FPU.
            entries += [0, UInt8(id), apicVersion, id == 0 ? 3 : 1]
            append(UInt32(0x600), to: &entries)
            append(UInt32(0x201), to: &entries)
            append(UInt64(0), to: &entries)
            count += 1
        }
        entries += [1, 0] + Array("ISA   ".utf8)
        entries += [2, ioAPIC, apicVersion, 1]
        append(Layout.ioAPIC, to: &entries)
        count += 2
        for line in 0..<24 {
            // Type 3, vectored interrupt, bus default polarity and trigger: an edge, which is what an irqfd delivers.
            entries += [3, 0, 0, 0, 0, UInt8(line), ioAPIC, UInt8(line)]
            count += 1
        }
        // Type 4, local interrupts: ExtINT on LINT0 and NMI on LINT1 of every CPU.
        entries += [4, 3, 0, 0, 0, 0, 0, 0]
        entries += [4, 1, 0, 0, 0, 0, 0xFF, 1]
        count += 2

        var table = Array("PCMP".utf8)
        append(UInt16(44 + entries.count), to: &table)
        table += [4, 0]
        table += Array("SWIFTLET".utf8) + Array("MICROVM     ".utf8)
        append(UInt32(0), to: &table)
        append(UInt16(0), to: &table)
        append(count, to: &table)
        append(Layout.localAPIC, to: &table)
        append(UInt32(0), to: &table)
        table += entries
        table[7] = checksum(table)
        return table
    }

    private static func append<Value: FixedWidthInteger & UnsignedInteger>(_ value: Value, to bytes: inout [UInt8]) {
        for index in 0..<MemoryLayout<Value>.size { bytes.append(UInt8(truncatingIfNeeded: value >> Value(8 * index))) }
    }

    /// What makes the sum of all bytes zero.
    private static func checksum(_ bytes: [UInt8]) -> UInt8 { 0 &- bytes.reduce(0, &+) }
}
