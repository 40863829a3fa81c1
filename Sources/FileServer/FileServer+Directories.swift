// Directories that are open for reading.
import CLinux
import FUSE
import Glibc
import LinuxSystem

/// One of the host.
final class OpenDirectory {
    let node: Node
    let descriptor: OwnedDescriptor

    init(_ node: Node, _ descriptor: consuming OwnedDescriptor) {
        self.node = node
        self.descriptor = descriptor
    }
}

extension FileServer {
    /// The most that one answer lists, in bytes.
    static let listingLimit = 64 << 10

    /// `struct linux_dirent64` with the longest name, in bytes.
    private static let longestEntry = 280

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
            try list(directory.node, directory.descriptor.raw, from: range.offset, withAttributes, into: &listing)
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

    /// `offset`: where the last answer ended, as the host's file system gave it, or anything else: it leads nowhere but into this directory.
    private func list(_ node: Node, _ raw: Int32, from offset: UInt64, _ withAttributes: Bool, into listing: inout Listing) throws(SystemError) {
        try systemCall("lseek") { lseek(raw, Int(bitPattern: UInt(offset)), SEEK_SET) }
        // No more than the answer may take, or the kernel reads the rest of the directory for each of the guest's pages: an entry is four times as long there as here.
        var buffer = [UInt8](repeating: 0, count: max(Self.longestEntry, listing.limit / (withAttributes ? 4 : 1)))
        while true {
            // SAFETY: the call writes at most as many bytes as the array has.
            let count = try systemCall("getdents64") {
                unsafe buffer.withUnsafeMutableBytes { unsafe clinux_getdents(raw, $0.baseAddress, $0.count) }
            }
            if count == 0 { return }
            var start = 0
            // struct linux_dirent64: inode, offset, length of the record, type, name.
            while start + 19 < count {
                func integer(_ position: Int, _ size: Int) -> UInt64 {
                    (0..<size).reduce(0) { $0 | UInt64(buffer[start + position + $1]) << UInt64(8 * $1) }
                }
                let length = Int(integer(16, 2))
                guard length >= 20, start + length <= count else { return }
                let bytes = Array(buffer[start + 19..<start + length].prefix { $0 != 0 })
                let (inode, next) = (integer(0, 8), integer(8, 8))
                let isListed = try append(bytes, inode: inode, type: UInt32(buffer[start + 18]), next: next, to: &listing) {
                    () throws(SystemError) in
                    guard withAttributes, let name = Name(bytes) else { return nil }
                    // It may be gone by now.
                    return try? lookUp(name, listedAs: inode, in: node)
                }
                guard isListed else { return }
                start += length
            }
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
