// Who answers at which address: port I/O and memory-mapped I/O each have one bus.

/// Registers of a device. `size` is 1 to 8 bytes, and not only powers of two: KVM splits what crosses a page. `offset` is relative to the range's start and,
/// with `size`, inside it.
public protocol BusDevice: AnyObject, Sendable {
    func read(offset: UInt64, size: Int) -> UInt64
    func write(offset: UInt64, size: Int, value: UInt64)
}

/// Two ranges that overlap, or a range that wraps or is empty.
public enum BusError: Error, Equatable {
    case overlap(start: UInt64, count: UInt64)
}

/// A sorted list of ranges, fixed before the first vCPU runs; lookups are a binary search.
public struct Bus: Sendable {
    private struct Entry: Sendable {
        let start: UInt64
        let count: UInt64
        let device: any BusDevice
    }

    private var entries: [Entry] = []

    public init() {}

    public mutating func attach(_ device: any BusDevice, start: UInt64, count: UInt64) throws(BusError) {
        let (end, overflow) = start.addingReportingOverflow(count)
        guard count > 0, !overflow, !entries.contains(where: { $0.start < end && start < $0.start + $0.count }) else {
            throw .overlap(start: start, count: count)
        }
        let index = entries.firstIndex { $0.start > start } ?? entries.count
        entries.insert(Entry(start: start, count: count, device: device), at: index)
    }

    private func find(_ address: UInt64, _ size: Int) -> Entry? {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].start <= address { low = middle + 1 } else { high = middle }
        }
        guard low > 0 else { return nil }
        let entry = entries[low - 1]
        let offset = address - entry.start
        return offset < entry.count && UInt64(size) <= entry.count - offset ? entry : nil
    }

    /// All ones where nobody answers, as on a PC.
    public func read(_ address: UInt64, size: Int) -> UInt64 {
        guard let entry = find(address, size) else { return size == 8 ? .max : (1 << UInt64(8 * size)) - 1 }
        return entry.device.read(offset: address - entry.start, size: size)
    }

    /// Dropped where nobody answers.
    public func write(_ address: UInt64, size: Int, value: UInt64) {
        guard let entry = find(address, size) else { return }
        entry.device.write(offset: address - entry.start, size: size, value: value)
    }
}
