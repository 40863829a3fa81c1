// Device configuration space (virtio 1.2 §2.5) as bytes.

/// A device's configuration fields, little-endian, as the driver reads them.
public struct ConfigurationSpace: Sendable {
    private var bytes: [UInt8] = []

    public init() {}

    /// Appends a field. The fields' natural alignment is the caller's business.
    public mutating func append(_ value: some FixedWidthInteger) {
        for shift in stride(from: 0, to: value.bitWidth, by: 8) { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
    }

    /// Zeros where there is no field.
    public func read(offset: Int, size: Int) -> UInt64 {
        var value: UInt64 = 0
        for index in 0..<min(size, 8) where bytes.indices.contains(offset + index) {
            value |= UInt64(bytes[offset + index]) << UInt64(8 * index)
        }
        return value
    }
}
