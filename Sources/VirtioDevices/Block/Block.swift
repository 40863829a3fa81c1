// The virtio block device: virtio 1.2 §5.2. One queue; data is moved by the kernel between file and guest RAM.
//
//   available ──▶ within its limits? ──yes──▶ in the host's memory, or no read? ──yes──▶ done
//                        │ no                              │ no: the disk was asked for it
//                        ▼                                 ▼
//                     waiting ──timer──▶                  late ──every other request has had its turn: wait for the disk──▶ done
//
// What waits or is late is the device's until it is done; a reset forgets it.
public import Virtio

/// A disk.
public final class Block: VirtioDevice {
    /// In bytes; the unit of the protocol (§5.2.4).
    static let sectorSize: UInt64 = 512
    private static let queueSize: UInt16 = 256
    /// The largest transfer of one request, in bytes: what `size_max` and `seg_max` allow a driver that respects them.
    static let transferLimit = UInt64(sizeMax) * UInt64(segMax)
    private static let sizeMax: UInt32 = 256 << 10
    private static let segMax: UInt32 = 254
    /// What the device does before others get their turn, and registers theirs: requests, bytes, and reads that wait for the host's disk.
    private static let turn = 32
    static let turnBytes: UInt64 = 8 << 20
    private static let turnLate = 8
    /// In sectors.
    static let discardLimit: UInt32 = 1 << 21
    static let writeZeroesLimit: UInt32 = 1 << 15
    static let discardSegments = 16

    private enum Feature {
        static let sizeMax: UInt64 = 1 << 1
        static let segMax: UInt64 = 1 << 2
        static let readOnly: UInt64 = 1 << 5
        static let blockSize: UInt64 = 1 << 6
        static let flush: UInt64 = 1 << 9
        static let topology: UInt64 = 1 << 10
        static let discard: UInt64 = 1 << 13
        static let writeZeroes: UInt64 = 1 << 14
    }

    let storage: BlockStorage
    let serial: [UInt8]
    /// Nil: no limits.
    let throttle: Throttle?
    private let configuration: ConfigurationSpace
    private var queue: SplitQueue?
    private var waiting = BlockWaiting()
    /// Reads that the host's disk was asked for, oldest first.
    private var late: [BlockRequest] = []
    /// Bytes moved in this turn.
    var moved: UInt64 = 0
    /// Whether reads can be tried without waiting; the files' systems decide.
    var triesWithoutWaiting = true
    /// Since the device was made.
    public internal(set) var metrics = BlockMetrics()
    /// The first thing the host could not do, for the VMM's report; not only for those who may enter the device.
    public let failure = BlockFailureRecord()
    public var hostFailure: BlockHostFailure? { failure.first }

    /// A disk whose driver sees `serial` (at most 20 bytes) as its id.
    public convenience init(_ backend: BlockBackend, serial: String, throttle: Throttle? = nil) throws(VirtioDevicesError) {
        try self.init(.fixed(backend), serial: serial, throttle: throttle)
    }

    /// A disk whose changes are kept apart.
    public convenience init(_ disk: CopyOnWrite, serial: String, throttle: Throttle? = nil) throws(VirtioDevicesError) {
        try self.init(.copying(disk), serial: serial, throttle: throttle)
    }

    private init(_ storage: BlockStorage, serial: String, throttle: Throttle?) throws(VirtioDevicesError) {
        guard serial.utf8.count <= 20 else { throw .serialTooLong(serial) }
        self.storage = storage
        self.serial = Array(serial.utf8)
        self.throttle = throttle
        configuration = Block.configuration(of: storage)
    }

    /// Ends a stage of a disk whose changes are kept apart, and describes the disk as it is; see `CopyOnWrite.seal`. Nil where the host failed before,
    /// where there are more than `limit` extents, and for other disks.
    public func seal(limit: Int) -> [BlockExtent]? {
        guard case .copying(let disk) = storage, hostFailure == nil else { return nil }
        return disk.seal(limit: limit)
    }

    public var traits: DeviceTraits {
        var features = Feature.sizeMax | Feature.segMax | Feature.blockSize | Feature.topology
        switch storage {
        case .fixed(let backend):
            switch backend.access {
            case .readOnly: features |= Feature.readOnly
            case .inPlace: features |= Feature.discard | Feature.writeZeroes | Feature.flush
            // A driver that sees no FLUSH takes the disk for write-through and doesn't ask: fewer exits.
            case .ephemeral: features |= Feature.discard | Feature.writeZeroes
            }
        // What becomes of the changes is decided outside, when the stage has been sealed.
        case .copying: break
        }
        return DeviceTraits(id: 2, features: features, queueSizes: [Block.queueSize], pollDescriptor: throttle?.descriptor)
    }

    /// `struct virtio_blk_config`, §5.2.4.
    private static func configuration(of storage: BlockStorage) -> ConfigurationSpace {
        var space = ConfigurationSpace()
        space.append(storage.size / sectorSize)
        space.append(sizeMax)
        space.append(segMax)
        space.append(UInt32(0))  // geometry
        space.append(UInt32(storage.blockSize))  // blk_size
        space.append(UInt8((4096 / storage.blockSize).trailingZeroBitCount))  // physical_block_exp: 4096 bytes
        space.append(UInt8(0))  // alignment_offset
        space.append(UInt16(4096 / storage.blockSize))  // min_io_size
        space.append(UInt32(0))  // opt_io_size
        space.append(UInt16(0))  // writeback, unused
        space.append(UInt16(1))  // num_queues
        space.append(discardLimit)
        space.append(UInt32(discardSegments))
        space.append(UInt32(8))  // discard_sector_alignment
        space.append(writeZeroesLimit)
        space.append(UInt32(1))  // max_write_zeroes_seg
        space.append(UInt32(1))  // write_zeroes_may_unmap, unused
        return space
    }

    public func readConfiguration(offset: Int, size: Int) -> UInt64 { configuration.read(offset: offset, size: size) }

    /// Nothing in it is the driver's to write: VIRTIO_BLK_F_CONFIG_WCE isn't offered.
    public func writeConfiguration(offset: Int, size: Int, value: UInt64) {}

    public func activate(_ activation: Activation) { queue = activation.queues[0] }

    public func queueNotified(_ index: Int) throws(VirtioError) -> Progress { try work() }

    /// The timer of the limits.
    public func hostReady() throws(VirtioError) -> Progress {
        throttle?.fired()
        return try work()
    }

    public func reset() {
        queue = nil
        waiting = BlockWaiting()
        late = []
        throttle?.wake(at: nil)
    }

    // MARK: Turns

    private func work() throws(VirtioError) -> Progress {
        guard let queue else { return .idle }
        moved = 0
        var resumed = try resumeWaiting(queue)
        for _ in 0..<Block.turnLate {
            let progress = try queue.serve(atMost: Block.turn) { (chain) throws(VirtioError) in try accept(chain, holding: queue.size) }
            if moved >= Block.turnBytes { resumed = .more }
            // All that can be asked of the host's disk has been asked for: now the oldest of it is waited for, and whoever waits for that hears at once.
            guard !late.isEmpty else {
                if case .more = progress { return .more }
                return resumed
            }
            var request = late.removeFirst()
            let status = try read(&request, waiting: true) ?? .ioError
            try queue.complete(request.chain, written: try finish(request, status))
            try queue.signalUsed()
        }
        return .more
    }

    /// A request that has just been made available.
    private func accept(_ chain: borrowing DescriptorChain, holding limit: UInt16) throws(VirtioError) -> ChainOutcome {
        // A driver that follows the rules never has more outstanding than its queue is long.
        guard moved < Block.turnBytes, waiting.count + late.count < Int(limit) else { return .putBack }
        let request = try BlockRequest(copy chain)
        guard let throttle else { return try begin(request) }
        let direction = request.direction
        // Behind others that wait, it has nothing to ask for yet.
        if waiting.isEmpty(direction) {
            guard let moment = throttle.limiter.admit(direction, bytes: request.cost) else { return try begin(request) }
            throttle.wake(noLaterThan: moment)
        }
        metrics.limited += 1
        waiting.append(request, direction)
        return .kept
    }

    /// Serves it, but for a read that has to wait for the host's disk.
    private func begin(_ request: consuming BlockRequest) throws(VirtioError) -> ChainOutcome {
        if let status = try serve(&request) { return .used(try finish(request, status)) }
        metrics.late += 1
        late.append(request)
        return .kept
    }

    /// Begins what has its tokens by now, and has the device woken for the next.
    private func resumeWaiting(_ queue: SplitQueue) throws(VirtioError) -> Progress {
        guard let throttle else { return .idle }
        var next: UInt64?
        for direction in [SharedRateLimiter.Direction.reading, .writing] {
            while let request = waiting.first(direction) {
                if moved >= Block.turnBytes { return .more }
                if let moment = throttle.limiter.admit(direction, bytes: request.cost) {
                    next = min(next ?? moment, moment)
                    break
                }
                waiting.removeFirst(direction)
                let chain = request.chain
                if case .used(let written) = try begin(request) { try queue.complete(chain, written: written) }
            }
        }
        throttle.wake(at: next)
        try queue.signalUsed()
        return .idle
    }
}

/// What waits for its limits, in the order in which it came: reads don't wait for writes.
struct BlockWaiting {
    private var reading: [BlockRequest] = []
    private var writing: [BlockRequest] = []

    var count: Int { reading.count + writing.count }

    func isEmpty(_ direction: SharedRateLimiter.Direction) -> Bool { first(direction) == nil }

    func first(_ direction: SharedRateLimiter.Direction) -> BlockRequest? {
        switch direction {
        case .reading: reading.first
        case .writing: writing.first
        }
    }

    mutating func append(_ request: BlockRequest, _ direction: SharedRateLimiter.Direction) {
        switch direction {
        case .reading: reading.append(request)
        case .writing: writing.append(request)
        }
    }

    mutating func removeFirst(_ direction: SharedRateLimiter.Direction) {
        switch direction {
        case .reading: reading.removeFirst()
        case .writing: writing.removeFirst()
        }
    }
}
