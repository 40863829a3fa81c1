// One request: what the driver gave the device to read, and where the device may write.
import AddressSpace

/// A descriptor chain that was taken from the available ring. Its layout is a copy: the driver can't change it any more, only the bytes it points to.
public struct DescriptorChain {
    /// The index of its first descriptor, which names the chain in the used ring.
    public let head: UInt16
    let memory: GuestMemory
    let readable: [Segment]
    let writable: [Segment]

    /// The device-readable part.
    public var reader: ChainReader { ChainReader(cursor: SegmentCursor(memory: memory, segments: readable)) }

    /// The device-writable part.
    public var writer: ChainWriter { ChainWriter(cursor: SegmentCursor(memory: memory, segments: writable)) }
}
