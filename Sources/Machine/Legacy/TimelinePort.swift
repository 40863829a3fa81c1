// The port to which the guest writes one byte at each point of its boot.
public import AddressSpace

public final class TimelinePort: BusDevice {
    public static let basePort: UInt64 = 0x510
    public static let portCount: UInt64 = 1

    private let mark: @Sendable (UInt8) -> Void

    public init(mark: @escaping @Sendable (UInt8) -> Void) { self.mark = mark }

    public func read(offset: UInt64, size: Int) -> UInt64 { 0 }

    public func write(offset: UInt64, size: Int, value: UInt64) { mark(UInt8(truncatingIfNeeded: value)) }
}
