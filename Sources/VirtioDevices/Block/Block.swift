// The virtio block device: virtio 1.2 §5.2. One queue; each request is served at once, its data moved by the kernel between file and guest RAM.
import CLinux
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
    /// Requests before others get their turn.
    private static let turn = 32
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
    private let configuration: ConfigurationSpace
    private var queue: SplitQueue?
    /// Since the device was made.
    public internal(set) var metrics = BlockMetrics()
    /// The first thing the host could not do, for the VMM's report.
    public internal(set) var hostFailure: BlockHostFailure?

    /// A disk whose driver sees `serial` (at most 20 bytes) as its id.
    public convenience init(_ backend: BlockBackend, serial: String) throws(VirtioDevicesError) {
        try self.init(.fixed(backend), serial: serial)
    }

    /// A disk whose changes are kept apart.
    public convenience init(_ disk: CopyOnWrite, serial: String) throws(VirtioDevicesError) {
        try self.init(.copying(disk), serial: serial)
    }

    private init(_ storage: BlockStorage, serial: String) throws(VirtioDevicesError) {
        guard serial.utf8.count <= 20 else { throw .serialTooLong(serial) }
        self.storage = storage
        self.serial = Array(serial.utf8)
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
        return DeviceTraits(id: 2, features: features, queueSizes: [Block.queueSize])
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

    public func queueNotified(_ index: Int) throws(VirtioError) -> Progress {
        guard let queue else { return .idle }
        return try queue.serve(atMost: Block.turn) { (chain) throws(VirtioError) in .used(try handle(chain)) }
    }

    /// Never called: the device has no poll descriptor.
    public func hostReady() -> Progress { .idle }

    public func reset() { queue = nil }
}
