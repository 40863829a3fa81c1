// What is in open files: moved by the kernel between its page cache and guest RAM.
import CLinux
import FUSE
import Glibc
import LinuxSystem
import Virtio

extension FileSystem {
    var tooLong: Int32 { E2BIG }
    var tooManyFiles: Int32 { EMFILE }
    var inputOutputError: Int32 { EIO }
    var protocolError: Int32 { EPROTO }
    var invalid: Int32 { EINVAL }

    /// What one READ or WRITE moves at most, in bytes. Drivers ask for a megabyte.
    private static let transferLimit: UInt32 = 8 << 20
    /// What one COPY_FILE_RANGE does at most, in bytes: nothing else is served meanwhile. The driver asks again.
    private static let copyLimit: UInt64 = 64 << 20

    /// `reader`: behind `bytes`, at the contents of a WRITE.
    func move(
        _ header: RequestHeader, _ bytes: [UInt8], _ reader: ChainReader, _ chain: borrowing DescriptorChain
    ) throws(VirtioError) -> UInt32 {
        guard let request = try? Request(header, bytes) else { return try write(Answer(to: header.unique, errno: EINVAL), to: chain) }
        switch request.operation {
        case .read(let range): return try read(range, header, chain)
        case .write(let range, _): return try write(try write(range, reader, header), to: chain)
        default: return try write(other(request.operation, header), to: chain)
        }
    }

    private func read(_ range: FUSE.Operation.Range, _ header: RequestHeader, _ chain: borrowing DescriptorChain) throws(VirtioError) -> UInt32 {
        guard let file = files[range.handle] else { return try write(Answer(to: header.unique, errno: EBADF), to: chain) }
        guard range.count <= Self.transferLimit, Self.isInside(range.offset, UInt64(range.count)) else {
            return try write(Answer(to: header.unique, errno: EINVAL), to: chain)
        }
        var room = chain.writer
        guard room.remaining >= UInt64(Answer.headerLength) else { return 0 }
        room.skip(UInt64(Answer.headerLength))
        var done: UInt64 = 0
        // Less than was asked for is the end of the file, so that what the kernel does in parts is put together.
        while done < UInt64(range.count) {
            switch try room.read(from: file, offset: range.offset + done, atMost: UInt64(range.count) - done) {
            case .moved(0): return try finishRead(done, header, chain)
            case .moved(let count): done += UInt64(count)
            case .wouldBlock: return try write(Answer(to: header.unique, errno: EAGAIN), to: chain)
            case .failed(let errno):
                if done > 0 { return try finishRead(done, header, chain) }
                return try write(Answer(to: header.unique, errno: errno), to: chain)
            }
        }
        return try finishRead(done, header, chain)
    }

    private func finishRead(_ count: UInt64, _ header: RequestHeader, _ chain: borrowing DescriptorChain) throws(VirtioError) -> UInt32 {
        moved += count
        metrics.bytesRead += count
        let answer = Answer(to: header.unique, following: UInt32(count))
        return try write(answer, to: chain) + UInt32(count)
    }

    private func write(_ range: FUSE.Operation.Range, _ reader: ChainReader, _ header: RequestHeader) throws(VirtioError) -> Answer {
        guard let file = files[range.handle] else { return Answer(to: header.unique, errno: EBADF) }
        var contents = reader
        guard range.count <= Self.transferLimit, Self.isInside(range.offset, UInt64(range.count)), contents.remaining >= UInt64(range.count) else {
            return Answer(to: header.unique, errno: EINVAL)
        }
        var done: UInt64 = 0
        while done < UInt64(range.count) {
            switch try contents.write(to: file, offset: range.offset + done, atMost: UInt64(range.count) - done) {
            case .moved(let count) where count > 0: done += UInt64(count)
            case .failed(let errno) where done == 0: return Answer(to: header.unique, errno: errno)
            case .wouldBlock where done == 0: return Answer(to: header.unique, errno: EAGAIN)
            case .moved, .failed, .wouldBlock: return finishWrite(done, header)
            }
        }
        return finishWrite(done, header)
    }

    private func finishWrite(_ count: UInt64, _ header: RequestHeader) -> Answer {
        moved += count
        metrics.bytesWritten += count
        return Answer(to: header.unique, count: UInt32(count))
    }

    // MARK: Others

    private func other(_ operation: FUSE.Operation, _ header: RequestHeader) -> Answer {
        do throws(SystemError) { return try perform(operation, header) } catch { return Answer(to: header.unique, errno: error.errno) }
    }

    private func perform(_ operation: FUSE.Operation, _ header: RequestHeader) throws(SystemError) -> Answer {
        switch operation {
        case .release(let handle): files.close(handle)
        case .synchronize(let handle, let dataOnly):
            let file = try file(handle)
            try systemCall("fsync") { dataOnly ? fdatasync(file) : fsync(file) }
        case .allocate(let handle, let offset, let count, let mode):
            let file = try file(handle)
            guard Self.isInside(offset, count) else { throw SystemError(call: "fallocate", errno: EINVAL) }
            try systemCall("fallocate") { clinux_fallocate(file, Int32(bitPattern: mode), Int(offset), Int(count)) }
        case .seek(let handle, let offset, let whence):
            let file = try file(handle)
            // Data and holes; the rest is the driver's system's own.
            guard Self.isInside(offset, 0), whence == 3 || whence == 4 else { throw SystemError(call: "lseek", errno: EINVAL) }
            return Answer(to: header.unique, offset: UInt64(try systemCall("lseek") { lseek(file, Int(offset), Int32(whence)) }))
        case .copy(let handle, let offset, _, let targetHandle, let targetOffset, let count, let flags):
            let (from, to) = (try file(handle), try file(targetHandle))
            let count = min(count, Self.copyLimit)
            guard flags == 0, Self.isInside(offset, count), Self.isInside(targetOffset, count) else {
                throw SystemError(call: "copy_file_range", errno: EINVAL)
            }
            let copied = try systemCall("copy_file_range") { clinux_copy_file_range(from, Int64(offset), to, Int64(targetOffset), Int(count)) }
            return Answer(to: header.unique, count: UInt32(copied))
        // What was written is the host's by now: there is nothing that a close(2) waits for. Not asked again after this answer.
        default: throw SystemError(call: "", errno: ENOSYS)
        }
        return Answer(to: header.unique)
    }

    private func file(_ handle: UInt64) throws(SystemError) -> Int32 {
        guard let file = files[handle] else { throw SystemError(call: "", errno: EBADF) }
        return file
    }

    /// Whether the kernel can count so far (off_t).
    private static func isInside(_ offset: UInt64, _ count: UInt64) -> Bool {
        let (end, overflows) = offset.addingReportingOverflow(count)
        return !overflows && end <= UInt64(Int64.max)
    }
}
