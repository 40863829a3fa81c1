// Directories that are open for reading.
import CLinux
import FUSE
import Glibc
import LinuxSystem

/// One of the host, read from its beginning to its end.
///
/// What was read and isn't listed yet is kept: once names are gone, not every file system finds a place again (tmpfs before Linux 6.6 counts), and whoever removes what a directory lists does so
/// while reading it.
final class OpenDirectory {
    let node: Node
    let descriptor: OwnedDescriptor
    /// Records that getdents64(2) gave, and which of its bytes are still to be listed.
    private var buffer: [UInt8] = []
    private var rest = 0..<0
    /// Where reading goes on, as the file system calls it.
    private var position: UInt64 = 0

    /// In bytes; the longest record has 280.
    private static let bufferLength = 8 << 10

    init(_ node: Node, _ descriptor: consuming OwnedDescriptor) {
        self.node = node
        self.descriptor = descriptor
    }

    /// `offset`: where an answer ended, as the host's file system gave it, or anything else: it leads nowhere but into this directory.
    func seek(to offset: UInt64) throws(SystemError) {
        guard offset != position else { return }
        let raw = descriptor.raw
        try systemCall("lseek") { lseek(raw, Int(bitPattern: UInt(offset)), SEEK_SET) }
        (rest, position) = (0..<0, offset)
    }

    /// The next record, until it is passed; nil at the end.
    func next() throws(SystemError) -> DirectoryRecord? {
        if rest.isEmpty {
            let raw = descriptor.raw
            if buffer.isEmpty { buffer = [UInt8](repeating: 0, count: Self.bufferLength) }
            // SAFETY: the call writes at most as many bytes as the array has.
            let count = try systemCall("getdents64") {
                unsafe buffer.withUnsafeMutableBytes { unsafe clinux_getdents(raw, $0.baseAddress, $0.count) }
            }
            rest = 0..<count
            if count == 0 { buffer = [] }
        }
        return DirectoryRecord(buffer, rest)
    }

    func pass(_ record: DirectoryRecord) { (rest, position) = (rest.dropFirst(record.length), record.next) }
}

/// `struct linux_dirent64`: inode, offset, length of the record, type, name.
struct DirectoryRecord {
    let inode: UInt64
    /// Where reading goes on behind it.
    let next: UInt64
    /// In bytes.
    let length: Int
    let type: UInt32
    let name: [UInt8]

    /// The first one in a part of `buffer`; nil where none is.
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
        type = UInt32(buffer[start + 18])
        let bytes = buffer[start + 19..<start + length]
        name = Array(bytes[..<(bytes.firstIndex(of: 0) ?? bytes.endIndex)])
    }
}

extension FileServer {
    /// The most that one answer lists, in bytes.
    static let listingLimit = 64 << 10

    func openDirectory(_ header: RequestHeader) throws(SystemError) -> Reply {
        guard directories.count < limits.directories else { throw SystemError(call: "opendir", errno: ENFILE) }
        if header.node == NodeTable.top {
            // The one that holds the trees.
            directories[nextDirectory] = .some(nil)
        } else {
            let node = try node(header.node)
            guard node.type == S_IFDIR else { throw SystemError(call: "opendir", errno: ENOTDIR) }
            directories[nextDirectory] = OpenDirectory(node, try openForReading(node))
        }
        defer { nextDirectory += 1 }
        return Reply(Answer(to: header.unique, handle: nextDirectory, flags: 0))
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
        var listing = Listing(limit: min(Int(range.count), Self.listingLimit), hasEntries: withAttributes)
        if let directory {
            try list(directory, from: range.offset, withAttributes, into: &listing)
        } else {
            try listTrees(from: range.offset, withAttributes, into: &listing)
        }
        return Reply(Answer(to: header.unique, listing))
    }

    private func listTrees(from offset: UInt64, _ withAttributes: Bool, into listing: inout Listing) throws(SystemError) {
        guard offset < UInt64(roots.count) else { return }
        for number in Int(offset)..<roots.count {
            guard let name = Name(Array(String(number).utf8)) else { continue }
            guard
                try append(
                    name.bytes, inode: roots[number].key.inode, type: roots[number].type >> 12, next: UInt64(number) + 1, to: &listing,
                    { () throws(SystemError) in
                        withAttributes ? try lookUp(name, in: NodeTable.top) : nil
                    })
            else { return }
        }
    }

    private func list(_ directory: OpenDirectory, from offset: UInt64, _ withAttributes: Bool, into listing: inout Listing) throws(SystemError) {
        try directory.seek(to: offset)
        while let record = try directory.next() {
            let isListed = try append(record.name, inode: record.inode, type: record.type, next: record.next, to: &listing) {
                () throws(SystemError) in
                guard withAttributes, let name = Name(record.name) else { return nil }
                // It may be gone by now.
                return try? lookUp(name, listedAs: record.inode, in: directory.node)
            }
            guard isListed else { return }
            directory.pass(record)
        }
    }

    /// False where the listing is full; then the guest hasn't learned of it.
    private func append(
        _ name: [UInt8], inode: UInt64, type: UInt32, next: UInt64, to listing: inout Listing, _ lookUp: () throws(SystemError) -> Entry?
    ) throws(SystemError) -> Bool {
        let entry = try lookUp()
        let isListed = listing.append(name, inode: inode, type: type, next: next, entry: entry)
        if !isListed, let entry { nodes.forget(entry.node, 1) }
        return isListed
    }
}
