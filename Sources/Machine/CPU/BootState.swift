// The registers with which a boot CPU enters 64-bit code (boot.rst, "64-bit boot protocol"): long mode, paging on with an identity map, flat segments,
// RSI at the zero page, interrupts off.
public import AddressSpace
import CLinux
public import KVM

public enum BootState {
    private static let codeSelector: UInt16 = 0x10
    private static let dataSelector: UInt16 = 0x18

    /// Page tables for the first GiB in pages of 2 MiB (kernel, zero page and command line lie there), and the flat descriptors.
    public static func writeTables(to memory: GuestMemory) throws(GuestMemoryError) {
        let base = Layout.pageTables.value
        let present: UInt64 = 3  // present, writable
        try memory.store(base + 0x1000 | present, at: GuestAddress(base))
        try memory.store(base + 0x2000 | present, at: GuestAddress(base + 0x1000))
        for index in 0..<512 as Range<UInt64> {
            try memory.store(index << 21 | 0x80 | present, at: GuestAddress(base + 0x2000 + 8 * index))
        }
        // Null, null, 64-bit code, data: the kernel loads its own before it reloads a segment.
        for (index, descriptor) in [0, 0, 0x00AF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF].enumerated() {
            try memory.store(UInt64(descriptor), at: GuestAddress(Layout.descriptorTable.value + UInt64(8 * index)))
        }
    }

    /// Puts `vcpu` at `entry`.
    public static func apply(to vcpu: VCPU, entry: GuestAddress) throws(KVMError) {
        var special = try vcpu.specialRegisters()
        let code = segment(codeSelector, kind: 11, long: true)
        let data = segment(dataSelector, kind: 3, long: false)
        special.cs = code
        special.ds = data
        special.es = data
        special.fs = data
        special.gs = data
        special.ss = data
        special.gdt.base = Layout.descriptorTable.value
        special.gdt.limit = 31
        special.cr3 = Layout.pageTables.value
        special.cr4 = 0x20  // PAE
        special.cr0 = 0x8005_0033  // PG, AM, WP, NE, ET, MP, PE
        special.efer = 0x500  // LME, LMA
        try vcpu.setSpecialRegisters(special)

        var registers = kvm_regs()
        registers.rip = entry.value
        registers.rsi = Layout.zeroPage.value
        registers.rsp = Layout.bootStack.value
        registers.rflags = 2
        try vcpu.setRegisters(registers)
    }

    private static func segment(_ selector: UInt16, kind: UInt8, long: Bool) -> kvm_segment {
        var segment = kvm_segment()
        segment.selector = selector
        segment.limit = 0xFFFF_FFFF
        segment.type = kind
        segment.present = 1
        segment.s = 1
        segment.g = 1
        segment.l = long ? 1 : 0
        segment.db = long ? 0 : 1
        return segment
    }
}
