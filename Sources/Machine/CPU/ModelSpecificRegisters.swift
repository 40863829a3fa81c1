// Registers that firmware would have set (Intel SDM volume 4).

public enum ModelSpecificRegisters {
    /// Fast string operations on (IA32_MISC_ENABLE bit 0); memory is write-back by default (IA32_MTRR_DEF_TYPE: enabled, type 6).
    public static let boot: [(index: UInt32, value: UInt64)] = [(0x1A0, 1), (0x2FF, 1 << 11 | 6)]
}
