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
private struct RangeSegment: BitwiseCopyable {
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

extension Block {
    /// Serves one request and returns how many bytes of the chain were written, the status byte included.
    func handle(_ chain: borrowing DescriptorChain) throws(VirtioError) -> UInt32 {
        var header = RequestHeader()
        var reader = chain.reader
        guard try reader.read(into: &header) else { throw .malformedRequest("a block request without its header") }
        var writer = chain.writer
        var trailer = chain.writer
        guard writer.remaining >= 1 else { throw .malformedRequest("a block request without room for its status") }
        let room = writer.remaining - 1
        trailer.skip(room)
        writer.limit(to: room)
        let status: BlockStatus
        switch header.type {
        case RequestType.read: status = try read(header.sector, into: &writer)
        case RequestType.write: status = try write(header.sector, from: &reader)
        case RequestType.flush: status = flush()
        case RequestType.identity:
            let padded = serial + [UInt8](repeating: 0, count: 20 - serial.count)
            status = try writer.write(bytes: padded) == 20 ? .ok : .ioError
        case RequestType.discard, RequestType.writeZeroes:
            status = try ranges(header.type, &reader)
        default: status = .unsupported
        }
        metrics.count(status)
        _ = try trailer.write(status.rawValue)
        // Data that an error left unwritten lies before the status byte, so the length has to cover it; the driver looks at the status first.
        return UInt32(clamping: room + 1)
    }

    /// The device's byte position of a transfer, if all of it is on the disk.
    private func position(_ sector: UInt64, count: UInt64) -> UInt64? {
        let (start, wraps) = sector.multipliedReportingOverflow(by: Block.sectorSize)
        guard !wraps, start <= storage.size, count <= storage.size - start else { return nil }
        return start
    }

    // MARK: Data

    private func read(_ sector: UInt64, into writer: inout ChainWriter) throws(VirtioError) -> BlockStatus {
        let count = writer.remaining
        guard count <= Block.transferLimit, count.isMultiple(of: Block.sectorSize), var position = position(sector, count: count) else {
            return .ioError
        }
        while writer.remaining > 0 {
            switch storage.piece(at: position, atMost: writer.remaining) {
            case .zeros(let length):
                do throws(VirtioError) { try writer.zero(length) } catch { return refuse(error) }
                position += length
            case .file(let descriptor, let offset, let length):
                let result: Transfer
                do throws(VirtioError) {
                    result = try writer.read(from: descriptor, offset: offset, atMost: length)
                } catch { return refuse(error) }
                guard let moved = moved(result, .read, at: position) else { return .ioError }
                position += moved
            }
        }
        metrics.bytesRead += count
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
            guard let moved = moved(result, .write, at: position) else { return .ioError }
            position += moved
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
    private func moved(_ result: Transfer, _ operation: BlockHostFailure.Operation, at position: UInt64) -> UInt64? {
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
        if hostFailure == nil {
            hostFailure = BlockHostFailure(disk: storage.name, operation: operation, position: position, errno: code)
        }
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

    private func ranges(_ type: UInt32, _ reader: inout ChainReader) throws(VirtioError) -> BlockStatus {
        let size = UInt64(MemoryLayout<RangeSegment>.size)
        let limit = type == RequestType.discard ? UInt64(Block.discardSegments) : 1
        if storage.readOnly { return .ioError }
        guard case .fixed = storage else { return .unsupported }
        guard reader.remaining >= size, reader.remaining.isMultiple(of: size), reader.remaining <= limit * size else { return .ioError }
        var segment = RangeSegment()
        while try reader.read(into: &segment) {
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
