// Directories that are open for reading.
import CLinux
import FUSE
import Glibc
import LinuxSystem

/// One of the host, read from its beginning to its end.
///
/// What was read is kept from where the last answer began: it may be asked for again from any place in it. Once names are gone, not every file system finds a place again (tmpfs before
/// Linux 6.6 counts), and whoever removes what a directory lists does so while reading it.
final class OpenDirectory {
    let node: Node
    let descriptor: OwnedDescriptor
    /// Records that getdents64(2) gave.
    private var records: [UInt8] = []
    /// Which of their bytes are still to be listed.
    private var rest = 0..<0
    /// Where the first of `records`, and the first of these bytes, is, as the file system calls it.
    private var (start, position): (UInt64, UInt64) = (0, 0)

    /// In bytes; the longest record has 280.
    private static let readLength = 8 << 10
    /// How much is kept at most when more is read, in bytes.
    private static let keptLength = 16 << 10

    init(_ node: Node, _ descriptor: consuming OwnedDescriptor) {
        self.node = node
        self.descriptor = descriptor
    }

    /// `offset`: where an answer ended, as the host's file system gave it, or anything else: it leads nowhere but into this directory.
    func seek(to offset: UInt64) throws(SystemError) {
        if offset == position {
            records.removeFirst(rest.lowerBound)
            (rest, start) = (0..<records.count, offset)
            return
        }
        var index = 0
        var place = start
        while place != offset, let record = DirectoryRecord.Head(records, index..<records.count) {
            index += record.length
            place = record.next
        }
        if place != offset {
            let raw = descriptor.raw
            try systemCall("lseek") { lseek(raw, Int(bitPattern: UInt(offset)), SEEK_SET) }
            index = records.count
        }
        records.removeFirst(index)
        (rest, start, position) = (0..<records.count, offset, offset)
    }

    /// The next record, until it is passed; nil at the end.
    func next() throws(SystemError) -> DirectoryRecord? {
        if rest.isEmpty {
            if records.count > Self.keptLength { (records, start) = ([], position) }
            let (raw, end) = (descriptor.raw, records.count)
            records += [UInt8](repeating: 0, count: Self.readLength)
            do throws(SystemError) {
                // SAFETY: the call writes at most as many bytes as were added.
                let count = try systemCall("getdents64") {
                    unsafe records.withUnsafeMutableBytes { unsafe clinux_getdents(raw, $0.baseAddress?.advanced(by: end), Self.readLength) }
                }
                records.removeLast(Self.readLength - count)
            } catch {
                records.removeLast(Self.readLength)
                throw error
            }
            rest = end..<records.count
        }
        return DirectoryRecord(records, rest)
    }

    func pass(_ record: DirectoryRecord) { (rest, position) = (rest.dropFirst(record.head.length), record.head.next) }
}

/// `struct linux_dirent64`: inode, offset, length of the record, type, name.
struct DirectoryRecord {
    /// What is before the name.
    struct Head {
        let inode: UInt64
        /// Where reading goes on behind it.
        let next: UInt64
        /// Of the whole record, in bytes.
        let length: Int

        /// Of the first record in a part of `buffer`; nil where none is.
        init?(_ buffer: [UInt8], _ part: Range<Int>) {
            guard part.count >= 20, part.upperBound <= buffer.count else { return nil }
            let start = part.lowerBound
            // SAFETY: so many bytes are there; any are an integer.
            (inode, next, length) = unsafe buffer.withUnsafeBytes {
                unsafe (
                    $0.loadUnaligned(fromByteOffset: start, as: UInt64.self), $0.loadUnaligned(fromByteOffset: start + 8, as: UInt64.self),
                    Int($0.loadUnaligned(fromByteOffset: start + 16, as: UInt16.self))
                )
            }
            guard (20...part.count).contains(length) else { return nil }
        }
    }

    let head: Head
    let type: UInt32
    let name: [UInt8]

    /// The first one in a part of `buffer`; nil where none is.
    init?(_ buffer: [UInt8], _ part: Range<Int>) {
        guard let head = Head(buffer, part) else { return nil }
        self.head = head
        let start = part.lowerBound
        type = UInt32(buffer[start + 18])
        let bytes = buffer[start + 19..<start + head.length]
        name = Array(bytes[..<(bytes.firstIndex(of: 0) ?? bytes.endIndex)])
    }
}

extension FileServer {
    /// The most that one answer lists, in bytes.
    static let listingLimit = 64 << 10
    /// What comes with a directory that is opened, in bytes: as much as Linux asks for at first, with what each name is.
    static let aheadLimit = 4096

    func openDirectory(_ header: RequestHeader) throws(SystemError) -> Reply {
        guard directories.count < limits.directories else { throw SystemError(call: "opendir", errno: ENFILE) }
        var directory: OpenDirectory?
        // The one that holds the trees is none of the host.
        if header.node != NodeTable.top {
            let node = try node(header.node)
            guard node.type == S_IFDIR else { throw SystemError(call: "opendir", errno: ENOTDIR) }
            directory = OpenDirectory(node, try openForReading(node))
        }
        let handle = nextDirectory
        directories[handle] = .some(directory)
        nextDirectory += 1
        // Whoever believes nothing for any time can't use what it hasn't asked for yet. A mistake comes back when the guest reads.
        guard mode != .never, let ahead = try? list(directory, from: 0, withAttributes: true, limit: Self.aheadLimit) else {
            return Reply(Answer(to: header.unique, handle: handle, flags: 0))
        }
        return Reply(Answer(to: header.unique, handle: handle, ahead: ahead))
    }

    func openForReading(_ directory: Node) throws(SystemError) -> OwnedDescriptor {
        let raw = directory.descriptor.raw
        // SAFETY: the string is a constant.
        return OwnedDescriptor(owning: try systemCall("openat") { unsafe clinux_openat(raw, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0) })
    }

    func synchronize(_ handle: UInt64) throws(SystemError) {
        guard let directory = directories[handle] else { throw SystemError(call: "fsync", errno: EBADF) }
        guard let raw = directory?.descriptor.raw else { return }
        try systemCall("fsync") { fsync(raw) }
    }

    func read(_ range: Operation.Range, withAttributes: Bool, _ header: RequestHeader) throws(SystemError) -> Reply {
        guard let directory = directories[range.handle] else { throw SystemError(call: "readdir", errno: EBADF) }
        let limit = min(Int(range.count), Self.listingLimit)
        return Reply(Answer(to: header.unique, try list(directory, from: range.offset, withAttributes: withAttributes, limit: limit)))
    }

    /// `directory`: nil for the one that holds the trees.
    private func list(_ directory: OpenDirectory?, from offset: UInt64, withAttributes: Bool, limit: Int) throws(SystemError) -> Listing {
        var listing = Listing(limit: limit, hasEntries: withAttributes)
        let isWhole =
            if let directory {
                try list(directory, from: offset, withAttributes, into: &listing)
            } else {
                listTrees(from: offset, withAttributes, into: &listing)
            }
        if isWhole { listing.end() }
        return listing
    }

    /// False where the listing is full before the end.
    private func listTrees(from offset: UInt64, _ withAttributes: Bool, into listing: inout Listing) -> Bool {
        guard offset < UInt64(roots.count) else { return true }
        for number in Int(offset)..<roots.count {
            guard let name = Name(Array(String(number).utf8)) else { continue }
            let isListed = append(name.bytes, inode: roots[number].key.inode, type: roots[number].type >> 12, next: UInt64(number) + 1, to: &listing)
            {
                withAttributes ? try? lookUp(name, in: NodeTable.top) : nil
            }
            guard isListed else { return false }
        }
        return true
    }

    /// The same.
    private func list(
        _ directory: OpenDirectory, from offset: UInt64, _ withAttributes: Bool, into listing: inout Listing
    ) throws(SystemError) -> Bool {
        try directory.seek(to: offset)
        while true {
            let record: DirectoryRecord?
            do throws(SystemError) { record = try directory.next() } catch {
                // It comes back when the guest has what there is.
                if listing.bytes.isEmpty { throw error }
                return false
            }
            guard let record else { return true }
            let head = record.head
            let isListed = append(record.name, inode: head.inode, type: record.type, next: head.next, to: &listing) {
                guard withAttributes, let name = Name(record.name) else { return nil }
                // It may be gone by now.
                return try? lookUp(name, listedAs: head.inode, in: directory.node)
            }
            guard isListed else { return false }
            directory.pass(record)
        }
    }

    /// False where the listing is full; then the guest hasn't learned of it.
    private func append(
        _ name: [UInt8], inode: UInt64, type: UInt32, next: UInt64, to listing: inout Listing, _ lookUp: () -> Entry?
    ) -> Bool {
        let entry = lookUp()
        let isListed = listing.append(name, inode: inode, type: type, next: next, entry: entry)
        if !isListed, let entry { nodes.forget(entry.node, 1) }
        return isListed
    }
}
