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

    let backend: BlockBackend
    let serial: [UInt8]
    private let configuration: ConfigurationSpace
    private var queue: SplitQueue?
    /// Since the device was made.
    public internal(set) var metrics = BlockMetrics()
    /// The first thing the host could not do, for the VMM's report.
    public internal(set) var hostFailure: BlockHostFailure?

    /// A disk whose driver sees `serial` (at most 20 bytes) as its id.
    public init(_ backend: BlockBackend, serial: String) throws(VirtioDevicesError) {
        guard serial.utf8.count <= 20 else { throw .serialTooLong(serial) }
        self.backend = backend
        self.serial = Array(serial.utf8)
        configuration = Block.configuration(of: backend)
    }

    public var traits: DeviceTraits {
        var features = Feature.sizeMax | Feature.segMax | Feature.blockSize | Feature.topology
        if backend.readOnly {
            features |= Feature.readOnly
        } else {
            features |= Feature.discard | Feature.writeZeroes
            // A driver that sees no FLUSH takes the disk for write-through and doesn't ask: fewer exits.
            if !backend.ephemeral { features |= Feature.flush }
        }
        return DeviceTraits(id: 2, features: features, queueSizes: [Block.queueSize])
    }

    /// `struct virtio_blk_config`, §5.2.4.
    private static func configuration(of backend: BlockBackend) -> ConfigurationSpace {
        var space = ConfigurationSpace()
        space.append(backend.size / sectorSize)
        space.append(sizeMax)
        space.append(segMax)
        space.append(UInt32(0))  // geometry
        space.append(UInt32(sectorSize))  // blk_size
        space.append(UInt8(3))  // physical_block_exp: 4096 bytes
        space.append(UInt8(0))  // alignment_offset
        space.append(UInt16(8))  // min_io_size
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
