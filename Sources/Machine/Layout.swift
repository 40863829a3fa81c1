// The machine's address map.
//
//   0x0000_7000  zero page (boot_params)
//   0x0000_8000  GDT
//   0x0000_9000  page tables: PML4, PDPT, one page directory (identity map of the first GiB)
//   0x0001_0000  setup_data (random seed)
//   0x0002_0000  kernel command line
//   0x0009_E000  MP table; its floating pointer at 0x0009_FC00, the last KiB of base memory, where the kernel looks first
//   0x0010_0000  RAM again; the kernel at its own load address, the initrd at the end of low RAM
//   0xC000_0000  end of low RAM at the latest; gap for devices
//   0xD000_0000  virtio MMIO transports, 4 KiB each
//   0xFEC0_0000  IOAPIC; 0xFEE0_0000 local APIC; 0xFFFB_D000 TSS pages of KVM
//   1_0000_0000  RAM above the gap
public import AddressSpace

public enum Layout {
    public static let zeroPage = GuestAddress(0x7000)
    public static let descriptorTable = GuestAddress(0x8000)
    public static let bootStack = GuestAddress(0x8FF0)
    public static let pageTables = GuestAddress(0x9000)
    public static let setupData = GuestAddress(0x1_0000)
    public static let probe = GuestAddress(0x1_8000)
    public static let commandLine = GuestAddress(0x2_0000)
    /// In bytes, with the final NUL: the kernel's own COMMAND_LINE_SIZE on x86.
    public static let commandLineLimit = 2048
    public static let multiprocessorTable = GuestAddress(0x9_E000)
    public static let multiprocessorPointer = GuestAddress(0x9_FC00)
    public static let highMemory = GuestAddress(0x10_0000)
    public static let virtioBase: UInt64 = 0xD000_0000
    public static let virtioSize: UInt64 = 0x1000
    public static let ioAPIC: UInt32 = 0xFEC0_0000
    public static let localAPIC: UInt32 = 0xFEE0_0000
    public static let tss: UInt64 = 0xFFFB_D000
    /// IOAPIC inputs that no legacy device claims.
    public static let virtioInterrupts: ClosedRange<UInt32> = 5...23
}
