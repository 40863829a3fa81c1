// Requests of the block device: virtio 1.2 §5.2.6.
import CLinux
import Glibc
import Virtio

/// `struct virtio_blk_req` up to its data.
private struct RequestHeader: BitwiseCopyable {
    var type: UInt32 = 0
    var reserved: UInt32 = 0
    var sector: UInt64 = 0
}

/// `struct virtio_blk_discard_write_zeroes`.
struct RangeSegment: BitwiseCopyable {
    var sector: UInt64 = 0
    var sectors: UInt32 = 0
    /// Bit 0: unmap.
    var flags: UInt32 = 0
}

private enum RequestType {
    static let read: UInt32 = 0
    static let write: UInt32 = 1
    static let flush: UInt32 = 4
    static let identity: UInt32 = 8
    static let discard: UInt32 = 11
    static let writeZeroes: UInt32 = 13
}

/// The last byte of every request.
enum BlockStatus: UInt8 {
    case ok = 0
    case ioError = 1
    case unsupported = 2
}

/// One request: its layout, its header and its ranges are copies, which the driver can't change any more.
struct BlockRequest {
    let chain: DescriptorChain
    fileprivate let type: UInt32
    fileprivate let sector: UInt64
    /// What the driver sent behind the header; without the ranges.
    fileprivate var reader: ChainReader
    /// Room for data, and how much of it there was.
    fileprivate var writer: ChainWriter
    fileprivate let room: UInt64
    /// Of a discard or write-zeroes request; nil where there are too few, too many, or parts of one.
    fileprivate var ranges: [RangeSegment]?

    init(_ chain: DescriptorChain) throws(VirtioError) {
        self.chain = chain
        var header = RequestHeader()
        reader = chain.reader
        guard try reader.read(into: &header) else { throw .malformedRequest("a block request without its header") }
        writer = chain.writer
        guard writer.remaining >= 1 else { throw .malformedRequest("a block request without room for its status") }
        room = writer.remaining - 1
        writer.limit(to: room)
        type = header.type
        sector = header.sector
        guard type == RequestType.discard || type == RequestType.writeZeroes else { return }
        let size = UInt64(MemoryLayout<RangeSegment>.size)
        let limit = type == RequestType.discard ? UInt64(Block.discardSegments) : 1
        guard reader.remaining >= size, reader.remaining.isMultiple(of: size), reader.remaining <= limit * size else { return }
        var list: [RangeSegment] = []
        var segment = RangeSegment()
        while try reader.read(into: &segment) { list.append(segment) }
        ranges = list
    }

    /// Whose limits it counts against: everything that changes the disk, or waits for changes, is writing.
    var direction: SharedRateLimiter.Direction { type == RequestType.read || type == RequestType.identity ? .reading : .writing }

    /// In bytes. Zeros count where they may have to be written.
    var cost: UInt64 {
        switch type {
        case RequestType.read: min(writer.remaining, Block.transferLimit)
        case RequestType.write: min(reader.remaining, Block.transferLimit)
        case RequestType.writeZeroes: (ranges ?? []).reduce(0) { $0 + UInt64(min($1.sectors, Block.writeZeroesLimit)) * Block.sectorSize }
        default: 0
        }
    }
}

extension Block {
    /// Serves a request; nil if it is a read that would have to wait for the host's disk.
    func serve(_ request: inout BlockRequest) throws(VirtioError) -> BlockStatus? {
        switch request.type {
        case RequestType.read: return try read(&request, waiting: false)
        case RequestType.write: return try write(request.sector, from: &request.reader)
        case RequestType.flush: return flush()
        case RequestType.identity:
            let padded = serial + [UInt8](repeating: 0, count: 20 - serial.count)
            return try request.writer.write(bytes: padded) == 20 ? .ok : .ioError
        case RequestType.discard, RequestType.writeZeroes: return change(request.type, request.ranges)
        default: return .unsupported
        }
    }

    /// Writes the status byte, and returns how many bytes of the chain were written.
    func finish(_ request: borrowing BlockRequest, _ status: BlockStatus) throws(VirtioError) -> UInt32 {
        metrics.count(status)
        var trailer = request.chain.writer
        trailer.skip(request.room)
        _ = try trailer.write(status.rawValue)
        // Data that an error left unwritten lies before the status byte, so the length has to cover it; the driver looks at the status first.
        return UInt32(clamping: request.room + 1)
    }

    /// The device's byte position of a transfer, if all of it is on the disk.
    private func position(_ sector: UInt64, count: UInt64) -> UInt64? {
        let (start, wraps) = sector.multipliedReportingOverflow(by: Block.sectorSize)
        guard !wraps, start <= storage.size, count <= storage.size - start else { return nil }
        return start
    }

    // MARK: Data

    /// Reads what is still missing. Nil unless it is `waiting`: for the rest the host's disk has been asked, and must be waited for.
    func read(_ request: inout BlockRequest, waiting: Bool) throws(VirtioError) -> BlockStatus? {
        guard request.room <= Block.transferLimit, request.room.isMultiple(of: Block.sectorSize),
            let start = position(request.sector, count: request.room)
        else { return .ioError }
        while request.writer.remaining > 0 {
            let position = start + request.room - request.writer.remaining
            switch storage.piece(at: position, atMost: request.writer.remaining) {
            case .zeros(let length):
                do throws(VirtioError) { try request.writer.zero(length) } catch { return refuse(error) }
            case .file(let descriptor, let offset, let length):
                let tries = !waiting && triesWithoutWaiting
                let result: Transfer
                do throws(VirtioError) {
                    result =
                        tries
                        ? try request.writer.readWithoutWaiting(from: descriptor, offset: offset, atMost: length)
                        : try request.writer.read(from: descriptor, offset: offset, atMost: length)
                } catch { return refuse(error) }
                if tries, result == .wouldBlock { return nil }
                if tries, result == .failed(EOPNOTSUPP) {
                    triesWithoutWaiting = false
                    continue
                }
                guard let count = transferred(result, .read, at: position) else { return .ioError }
                moved += count
            }
        }
        metrics.bytesRead += request.room
        return .ok
    }

    private func write(_ sector: UInt64, from reader: inout ChainReader) throws(VirtioError) -> BlockStatus {
        let count = reader.remaining
        guard !storage.readOnly, count <= Block.transferLimit, count.isMultiple(of: storage.blockSize),
            var position = position(sector, count: count), position.isMultiple(of: storage.blockSize)
        else { return .ioError }
        while reader.remaining > 0 {
            guard case .file(let descriptor, let offset, let length) = storage.place(forWriting: position, atMost: reader.remaining) else {
                record(.write, position, ENOSPC)
                return .ioError
            }
            let result: Transfer
            do throws(VirtioError) {
                result = try reader.write(to: descriptor, offset: offset, atMost: length)
            } catch { return refuse(error) }
            guard let step = transferred(result, .write, at: position) else { return .ioError }
            position += step
            moved += step
        }
        metrics.bytesWritten += count
        return .ok
    }

    /// A buffer that is no RAM fails its request, not the device.
    private func refuse(_ error: VirtioError) -> BlockStatus {
        metrics.badBuffers += 1
        return .ioError
    }

    /// The bytes a transfer moved, at least one; nil after a failure, which is recorded.
    private func transferred(_ result: Transfer, _ operation: BlockHostFailure.Operation, at position: UInt64) -> UInt64? {
        switch result {
        case .moved(let count) where count > 0: return UInt64(count)
        // The file became shorter than the extent says.
        case .moved: record(operation, position, EIO)
        case .wouldBlock: record(operation, position, EAGAIN)
        case .failed(let code):
            // EFAULT: a buffer that was RAM to us, but not to the kernel. The guest's fault, not the host's.
            if code == EFAULT { metrics.badBuffers += 1 } else { record(operation, position, code) }
        }
        return nil
    }

    func record(_ operation: BlockHostFailure.Operation, _ position: UInt64, _ code: Int32) {
        metrics.hostErrors += 1
        failure.record(BlockHostFailure(disk: storage.name, operation: operation, position: position, errno: code))
    }

    // MARK: Flush, discard, write zeroes

    private func flush() -> BlockStatus {
        metrics.flushes += 1
        guard case .fixed(let backend) = storage, backend.access == .inPlace,
            case .file(let descriptor, _, _) = backend.piece(at: 0, atMost: 1)
        else { return .ok }
        if fdatasync(descriptor) == 0 { return .ok }
        record(.flush, 0, clinux_errno())
        return .ioError
    }

    private func change(_ type: UInt32, _ ranges: [RangeSegment]?) -> BlockStatus {
        if storage.readOnly { return .ioError }
        guard case .fixed = storage else { return .unsupported }
        guard let ranges else { return .ioError }
        for segment in ranges {
            let status = type == RequestType.discard ? discard(segment) : writeZeroes(segment)
            if status != .ok { return status }
        }
        return .ok
    }

    private func discard(_ segment: RangeSegment) -> BlockStatus {
        // §5.2.6.2: the unmap flag must be clear in a discard.
        guard segment.flags == 0 else { return .unsupported }
        guard segment.sectors <= Block.discardLimit, let range = file(segment) else { return .ioError }
        return allocate(range, CLINUX_FALLOC_FL_PUNCH_HOLE, .discard) ?? .unsupported
    }

    private func writeZeroes(_ segment: RangeSegment) -> BlockStatus {
        guard segment.flags & ~1 == 0 else { return .unsupported }
        guard segment.sectors <= Block.writeZeroesLimit, let range = file(segment) else { return .ioError }
        let mode = segment.flags & 1 != 0 ? CLINUX_FALLOC_FL_PUNCH_HOLE : CLINUX_FALLOC_FL_ZERO_RANGE
        return allocate(range, mode, .writeZeroes) ?? zeroByHand(range)
    }

    /// Where a segment is in the file. A writable disk is one extent, so a range never spans two.
    private func file(_ segment: RangeSegment) -> FileRange? {
        let count = UInt64(segment.sectors) * Block.sectorSize
        guard count > 0, let start = position(segment.sector, count: count),
            case .file(let descriptor, let offset, count) = storage.piece(at: start, atMost: count)
        else { return nil }
        return FileRange(descriptor: descriptor, offset: offset, count: count, position: start)
    }

    private struct FileRange {
        let descriptor: Int32
        let offset: UInt64
        let count: UInt64
        let position: UInt64
    }

    /// Nil if the host's file system can't do that.
    private func allocate(_ range: FileRange, _ mode: Int32, _ operation: BlockHostFailure.Operation) -> BlockStatus? {
        metrics.ranges += 1
        var code: Int32 = EINTR
        while code == EINTR {
            if clinux_fallocate(range.descriptor, mode | CLINUX_FALLOC_FL_KEEP_SIZE, Int(range.offset), Int(range.count)) == 0 { return .ok }
            code = clinux_errno()
        }
        if code == EOPNOTSUPP || code == ENOSYS { return nil }
        record(operation, range.position, code)
        return .ioError
    }

    private func zeroByHand(_ range: FileRange) -> BlockStatus {
        let zeros = [UInt8](repeating: 0, count: Int(min(range.count, 64 << 10)))
        var done: UInt64 = 0
        while done < range.count {
            let wanted = Int(min(range.count - done, UInt64(zeros.count)))
            // SAFETY: the kernel reads `wanted` bytes, at most the array's count, during the call.
            let result = unsafe zeros.withUnsafeBytes { unsafe pwrite(range.descriptor, $0.baseAddress, wanted, Int(range.offset + done)) }
            if result > 0 {
                done += UInt64(result)
                continue
            }
            let code = result == 0 ? EIO : clinux_errno()
            if code == EINTR { continue }
            record(.writeZeroes, range.position + done, code)
            return .ioError
        }
        return .ok
    }
}
