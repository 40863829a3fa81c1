// Physical addresses as the guest sees them.

/// A guest-physical address in bytes.
public struct GuestAddress: Equatable, Hashable, Comparable, Sendable, CustomStringConvertible {
    public let value: UInt64

    @inlinable public init(_ value: UInt64) { self.value = value }

    @inlinable public static func < (left: GuestAddress, right: GuestAddress) -> Bool { left.value < right.value }

    /// Nil if the sum wraps.
    @inlinable public func advanced(by count: UInt64) -> GuestAddress? {
        let (sum, overflow) = value.addingReportingOverflow(count)
        return overflow ? nil : GuestAddress(sum)
    }

    public var description: String { "0x" + String(value, radix: 16) }
}
