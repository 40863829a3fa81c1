// An i8042 with no keyboard: the kernel asks it to pulse the reset line (command 0xFE at port 0x64), which ends the machine.
public import AddressSpace

public final class KeyboardController: BusDevice {
    public static let basePort: UInt64 = 0x60
    public static let portCount: UInt64 = 5

    private let reset: @Sendable () -> Void

    public init(reset: @escaping @Sendable () -> Void) { self.reset = reset }

    /// Status and data read as zero: no input waits, commands are always taken.
    public func read(offset: UInt64, size: Int) -> UInt64 { 0 }

    public func write(offset: UInt64, size: Int, value: UInt64) {
        if offset == 4, value & 0xFF == 0xFE { reset() }
    }
}
