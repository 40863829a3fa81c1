// Descriptors (virtio 1.2 §2.7.5) and the walk along a chain of them.
import AddressSpace

/// `struct virtq_desc`. Copied out of guest RAM once; decisions look at the copy.
struct Descriptor: BitwiseCopyable {
    static let size = 16
    static let next: UInt16 = 1
    static let write: UInt16 = 2
    static let indirect: UInt16 = 4

    let address: UInt64
    let length: UInt32
    let flags: UInt16
    let next: UInt16
}

/// A range of guest RAM that the driver claims is there. Checked where it is used.
struct Segment {
    let address: GuestAddress
    let count: UInt64
}

/// Follows a chain from its head. Every step counts against `limit`, so a loop ends like a chain that is too long.
struct ChainWalk {
    let memory: GuestMemory
    /// The queue's size: no chain may be longer, whether its descriptors are direct or indirect.
    let limit: Int
    let indirectAllowed: Bool
    private var steps = 0
    private var total: UInt64 = 0
    private(set) var readable: [Segment] = []
    private(set) var writable: [Segment] = []

    init(memory: GuestMemory, limit: Int, indirectAllowed: Bool) {
        self.memory = memory
        self.limit = limit
        self.indirectAllowed = indirectAllowed
    }

    /// Walks the table at `table` (which must not wrap), of `count` descriptors.
    mutating func follow(_ head: UInt16, table: GuestAddress, count: Int, insideIndirect: Bool = false) throws(VirtioError) {
        var index = head
        while true {
            guard Int(index) < count else { throw .descriptorIndex(index, count: count) }
            let slot = GuestAddress(table.value + UInt64(index) * UInt64(Descriptor.size))
            let descriptor = try accessing { () throws(GuestMemoryError) in try memory.load(Descriptor.self, at: slot) }
            if descriptor.flags & Descriptor.indirect != 0 {
                guard indirectAllowed, !insideIndirect, descriptor.flags & Descriptor.next == 0 else { throw .indirectDescriptor }
                try followIndirect(descriptor)
                return
            }
            steps += 1
            guard steps <= limit else { throw .chainTooLong(limit: limit) }
            try add(descriptor)
            guard descriptor.flags & Descriptor.next != 0 else { return }
            index = descriptor.next
        }
    }

    private mutating func followIndirect(_ descriptor: Descriptor) throws(VirtioError) {
        let length = descriptor.length
        let table = GuestAddress(descriptor.address)
        let count = Int(length) / Descriptor.size
        guard count > 0, count <= limit, Int(length).isMultiple(of: Descriptor.size) else { throw .indirectTableLength(length) }
        guard table.advanced(by: UInt64(length)) != nil else { throw .memory(.outOfRange(table, count: UInt64(length))) }
        try follow(0, table: table, count: count, insideIndirect: true)
    }

    private mutating func add(_ descriptor: Descriptor) throws(VirtioError) {
        total += UInt64(descriptor.length)
        guard total <= 1 << 32 else { throw .chainTooLarge }
        let segment = Segment(address: GuestAddress(descriptor.address), count: UInt64(descriptor.length))
        if descriptor.flags & Descriptor.write != 0 {
            if segment.count > 0 { writable.append(segment) }
        } else {
            guard writable.isEmpty else { throw .descriptorOrder }
            if segment.count > 0 { readable.append(segment) }
        }
    }
}
