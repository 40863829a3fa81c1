// Split virtqueues, the device's side: virtio 1.2 §2.7.
//
//   descriptor table   16 × size bytes                          16-byte aligned     the driver writes
//   available ring     flags, index, ring[size], used_event     2-byte aligned      the driver writes
//   used ring          flags, index, ring[size], avail_event    4-byte aligned      the device writes
//
// The device keeps its positions here and never reads back what it wrote to the used ring.
public import AddressSpace
import CLinux

/// Where the driver put a queue.
public struct QueueLayout: Equatable, Sendable {
    /// A power of two up to 32768.
    public let size: UInt16
    public let descriptorTable: GuestAddress
    public let availableRing: GuestAddress
    public let usedRing: GuestAddress

    public init(size: UInt16, descriptorTable: GuestAddress, availableRing: GuestAddress, usedRing: GuestAddress) {
        self.size = size
        self.descriptorTable = descriptorTable
        self.availableRing = availableRing
        self.usedRing = usedRing
    }
}

/// What a device did with a chain that `SplitQueue.serve` gave it.
public enum ChainOutcome: Sendable {
    /// Done; so many bytes were written to it.
    case used(UInt32)
    /// The device keeps the chain, and gives it back by `complete` later.
    case kept
    /// Not now: the chain stays available, and serving ends.
    case putBack
}

/// One virtqueue of an active device. A class because the device's positions must exist once.
public final class SplitQueue {
    private enum Flag {
        /// VIRTQ_AVAIL_F_NO_INTERRUPT, VIRTQ_USED_F_NO_NOTIFY.
        static let suppress: UInt16 = 1
    }

    private let memory: GuestMemory
    private let interrupt: InterruptLine
    /// Nil for a queue that the driver left out.
    private let layout: QueueLayout?
    private let eventIndex: Bool
    private let indirect: Bool
    private var nextAvailable: UInt16 = 0
    private var nextUsed: UInt16 = 0
    /// `nextUsed` when the driver's wish for an interrupt was last looked at.
    private var signalledUsed: UInt16 = 0

    /// A queue at `layout`, or one that is always empty.
    init(
        index: Int, layout: QueueLayout?, features: UInt64, memory: GuestMemory, interrupt: InterruptLine
    ) throws(VirtioError) {
        self.memory = memory
        self.interrupt = interrupt
        self.layout = layout
        eventIndex = features & TransportFeature.eventIndex != 0
        indirect = features & TransportFeature.indirectDescriptors != 0
        guard let layout else { return }
        let size = UInt64(layout.size)
        let parts = [(layout.descriptorTable, 16, 16 * size), (layout.availableRing, 2, 6 + 2 * size), (layout.usedRing, 4, 6 + 8 * size)]
        for (address, alignment, count) in parts {
            // Only what later sums rely on. Whether there is RAM is checked at each access.
            guard address.value.isMultiple(of: UInt64(alignment)), address.advanced(by: count) != nil else {
                throw .ringAddress(queue: index, address)
            }
        }
    }

    /// 0 for a queue that the driver left out.
    public var size: UInt16 { layout?.size ?? 0 }

    // MARK: Available ring

    private func availableIndex(_ layout: QueueLayout) throws(VirtioError) -> UInt16 {
        try accessing { () throws(GuestMemoryError) in try memory.loadAcquire16(at: GuestAddress(layout.availableRing.value + 2)) }
    }

    /// Takes the next chain; nil when there is none.
    public func next() throws(VirtioError) -> DescriptorChain? {
        guard let layout else { return nil }
        let ahead = try availableIndex(layout) &- nextAvailable
        if ahead == 0 { return nil }
        guard ahead <= layout.size else { throw .availableIndex(ahead: ahead, size: layout.size) }
        let slot = GuestAddress(layout.availableRing.value + 4 + 2 * UInt64(nextAvailable & (layout.size - 1)))
        let head = try accessing { () throws(GuestMemoryError) in try memory.load(UInt16.self, at: slot) }
        var walk = ChainWalk(memory: memory, limit: Int(layout.size), indirectAllowed: indirect)
        try walk.follow(head, table: layout.descriptorTable, count: Int(layout.size))
        nextAvailable &+= 1
        return DescriptorChain(head: head, memory: memory, readable: walk.readable, writable: walk.writable)
    }

    /// Makes the chain that `next` returned last available again; nothing of it may have been used.
    public func putBack() { nextAvailable &-= 1 }

    // MARK: Used ring

    /// Gives a chain back to the driver, `written` bytes of it written from its start on.
    public func complete(_ chain: borrowing DescriptorChain, written: UInt32) throws(VirtioError) {
        guard let layout else { return }
        let base = layout.usedRing.value
        let slot = base + 4 + 8 * UInt64(nextUsed & (layout.size - 1))
        let head = UInt32(chain.head)
        try accessing { () throws(GuestMemoryError) in
            try memory.store(head, at: GuestAddress(slot))
            try memory.store(written, at: GuestAddress(slot + 4))
            // Release: the element above and the data before it are there when the driver sees the index.
            try memory.storeRelease16(nextUsed &+ 1, at: GuestAddress(base + 2))
        }
        nextUsed &+= 1
    }

    /// Interrupts the driver if chains were completed since the last call and it asked for that (§2.7.7, §2.7.10).
    public func signalUsed() throws(VirtioError) {
        guard let layout, nextUsed != signalledUsed else { return }
        let base = layout.availableRing.value
        // The used index must be visible before the driver's wish is read; the driver does it the other way round.
        clinux_full_fence()
        let wanted = try accessing { () throws(GuestMemoryError) in
            if eventIndex {
                let event = try memory.loadAcquire16(at: GuestAddress(base + 4 + 2 * UInt64(layout.size)))
                return nextUsed &- event &- 1 < nextUsed &- signalledUsed
            }
            return try memory.loadAcquire16(at: GuestAddress(base)) & Flag.suppress == 0
        }
        signalledUsed = nextUsed
        if wanted { interrupt.queueUsed() }
    }

    // MARK: Notifications from the driver

    /// Tells the driver that new chains need no notification. With the event index, not moving it is enough.
    public func suppressNotifications() throws(VirtioError) {
        guard let layout, !eventIndex else { return }
        try accessing { () throws(GuestMemoryError) in try memory.storeRelease16(Flag.suppress, at: layout.usedRing) }
    }

    /// Asks for a notification of the next chain. True if one came in before the driver could know: then nobody will notify, and it must be served now.
    public func requestNotifications() throws(VirtioError) -> Bool {
        guard let layout else { return false }
        let base = layout.usedRing.value
        try accessing { () throws(GuestMemoryError) in
            if eventIndex {
                try memory.storeRelease16(nextAvailable, at: GuestAddress(base + 4 + 8 * UInt64(layout.size)))
            } else {
                try memory.storeRelease16(0, at: layout.usedRing)
            }
        }
        clinux_full_fence()
        return try availableIndex(layout) != nextAvailable
    }

    // MARK: Both

    /// Serves chains until there are none, the body puts one back, or `limit` were served; then interrupts once.
    ///
    /// The limit keeps a driver that refills the ring all the time from holding the thread for ever.
    public func serve(
        atMost limit: Int = 256, _ body: (borrowing DescriptorChain) throws(VirtioError) -> ChainOutcome
    ) throws(VirtioError) -> Progress {
        var served = 0
        var rounds = 0
        repeat {
            // Where the used ring lies over the available index, what is written below looks like news, for ever.
            guard rounds < limit else {
                try signalUsed()
                return .more
            }
            rounds += 1
            try suppressNotifications()
            while let chain = try next() {
                switch try body(chain) {
                case .used(let written): try complete(chain, written: written)
                case .kept: break
                case .putBack:
                    putBack()
                    try signalUsed()
                    return .idle
                }
                served += 1
                if served >= limit {
                    try signalUsed()
                    return .more
                }
            }
        } while try requestNotifications()
        try signalUsed()
        return .idle
    }
}
