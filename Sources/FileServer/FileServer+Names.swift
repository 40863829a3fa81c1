// Names: looking up, making, removing, renaming, opening.
import CLinux
import FUSE
import Glibc
import LinuxSystem

extension FileServer {
    /// What `name` is at the moment; the guest knows it from now on.
    func lookUp(_ name: Name, in directory: UInt64) throws(SystemError) -> Entry {
        if directory == NodeTable.top { return try lookUpTree(name) }
        return try lookUp(name, in: try node(directory))
    }

    /// The same for a guest, who may believe for as long that there is nothing: whoever makes a file asks for its name twice before.
    func entry(of name: Name, in directory: UInt64) throws(SystemError) -> Entry {
        do throws(SystemError) { return try lookUp(name, in: directory) } catch {
            guard error.errno == ENOENT, directory != NodeTable.top else { throw error }
            return Entry(node: 0, attributes: Attributes(), validity: validity)
        }
    }

    func lookUp(_ name: Name, in directory: Node) throws(SystemError) -> Entry {
        let file = try directory.descriptor.open(name, CLINUX_O_PATH)
        let status = try file.fileStatus()
        return try entry(Node(file, status, isReadOnly: directory.isReadOnly), status, in: directory)
    }

    private func lookUpTree(_ name: Name) throws(SystemError) -> Entry {
        // As it is listed: "0", not "00".
        guard let number = Int(String(decoding: name.bytes, as: UTF8.self)), roots.indices.contains(number), Array(String(number).utf8) == name.bytes
        else {
            throw SystemError(call: "lookup", errno: ENOENT)
        }
        let root = roots[number]
        let status = try root.descriptor.fileStatus()
        // Forgotten and remembered as any other: its descriptor is a copy.
        return try entry(Node(try root.descriptor.duplicate(), status, isReadOnly: root.isReadOnly), status, in: nil)
    }

    /// What a directory lists as file `inode`: where the guest knows it already, it isn't opened for that.
    func lookUp(_ name: Name, listedAs inode: UInt64, in directory: Node) throws(SystemError) -> Entry {
        let key = Node.Key(device: directory.key.device, inode: inode)
        guard nodes.contains(key) else { return try lookUp(name, in: directory) }
        let raw = directory.descriptor.raw
        var status = stat()
        // SAFETY: the string outlives the call, which writes one `stat`.
        try systemCall("fstatat") { unsafe name.withCString { unsafe fstatat(raw, $0, &status, AT_SYMLINK_NOFOLLOW) } }
        // As long as it is held open, no other file has its number.
        guard key == Node.Key(status), let number = nodes.remember(key) else { return try lookUp(name, in: directory) }
        return entry(number, status, in: directory)
    }

    /// `directory`: nil for a tree's root.
    private func entry(_ node: Node, _ status: stat, in directory: Node?) throws(SystemError) -> Entry {
        entry(try nodes.remember(node), status, in: directory)
    }

    /// A tree of another device than the first one's is another file system for the guest: their files may have the same numbers. The others are not, for Linux asks for an attribute before each
    /// write to a file below a mount point (its superblock lacks SB_NOSEC).
    private func entry(_ number: UInt64, _ status: stat, in directory: Node?) -> Entry {
        var attributes = Attributes(status)
        let outer = directory ?? roots.first
        attributes.isMountPoint = hasMountPoints && status.st_mode & S_IFMT == S_IFDIR && UInt64(status.st_dev) != outer?.key.device
        return Entry(node: number, attributes: attributes, validity: validity)
    }

    // MARK: Making

    /// Makes `name` by `body`, as whoever asks for it, and looks it up.
    func make(_ name: Name, _ header: RequestHeader, _ body: (Node) throws(SystemError) -> Void) throws(SystemError) -> Reply {
        let directory = try writable(header.node)
        try acting(for: header) { () throws(SystemError) in try body(directory) }
        return Reply(Answer(to: header.unique, try lookUp(name, in: directory)))
    }

    func makeLink(_ name: Name, _ target: [UInt8], in directory: Node) throws(SystemError) {
        let raw = directory.descriptor.raw
        // SAFETY: the strings outlive the call.
        try systemCall("symlinkat") { unsafe target.withCString { target in unsafe name.withCString { unsafe symlinkat(target, raw, $0) } } }
    }

    func makeNode(_ file: NewFile, _ device: UInt32, in directory: Node) throws(SystemError) {
        let raw = directory.descriptor.raw
        guard [S_IFREG, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK].contains(file.mode & S_IFMT) else { throw SystemError(call: "mknodat", errno: EINVAL) }
        let number = Attributes.device(encoded: device)
        // SAFETY: the string outlives the call.
        try systemCall("mknodat") { unsafe file.name.withCString { unsafe mknodat(raw, $0, file.permitted, dev_t(number)) } }
    }

    func makeDirectory(_ file: NewFile, in directory: Node) throws(SystemError) {
        let raw = directory.descriptor.raw
        // SAFETY: the string outlives the call.
        try systemCall("mkdirat") { unsafe file.name.withCString { unsafe mkdirat(raw, $0, file.permitted & 0o7777) } }
    }

    func link(_ node: Node, _ name: Name, _ header: RequestHeader) throws(SystemError) -> Reply {
        let directory = try writable(header.node)
        if node.isReadOnly { throw SystemError(call: "linkat", errno: EROFS) }
        let raw = directory.descriptor.raw
        // SAFETY: the strings outlive the call.
        try systemCall("linkat") {
            unsafe path(node).withCString { old in unsafe name.withCString { unsafe linkat(AT_FDCWD, old, raw, $0, AT_SYMLINK_FOLLOW) } }
        }
        return Reply(Answer(to: header.unique, try lookUp(name, in: directory)))
    }

    // MARK: Removing and renaming

    func remove(_ name: Name, from directory: Node, flags: Int32) throws(SystemError) {
        let raw = directory.descriptor.raw
        // SAFETY: the string outlives the call.
        try systemCall("unlinkat") { unsafe name.withCString { unsafe unlinkat(raw, $0, flags) } }
    }

    func rename(_ name: Name, in directory: Node, to newName: Name, in target: Node, _ flags: UInt32) throws(SystemError) {
        let (from, to) = (directory.descriptor.raw, target.descriptor.raw)
        // SAFETY: the strings outlive the call.
        try systemCall("renameat2") {
            unsafe name.withCString { old in unsafe newName.withCString { unsafe clinux_renameat2(from, old, to, $0, flags) } }
        }
    }

    // MARK: Opening

    /// What a guest may ask for: how it reads and writes, and what holds for each write.
    private static let openFlags = UInt32(O_ACCMODE | O_APPEND | O_TRUNC | O_DSYNC | O_SYNC)

    /// A regular file alone: a device's driver, a pipe's other end and a socket are the guest's own.
    func open(_ node: Node, _ flags: UInt32, _ header: RequestHeader) throws(SystemError) -> Reply {
        guard node.type == S_IFREG else { throw SystemError(call: "open", errno: node.type == S_IFDIR ? EISDIR : ENXIO) }
        let flags = Int32(flags & Self.openFlags)
        if node.isReadOnly, flags & O_ACCMODE != O_RDONLY || flags & O_TRUNC != 0 { throw SystemError(call: "open", errno: EROFS) }
        // SAFETY: the string outlives the call.
        let file = OwnedDescriptor(
            owning: try systemCall("open") { unsafe path(node).withCString { unsafe clinux_open($0, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0) } }
        )
        return Reply(Answer(to: header.unique, handle: 0, flags: keepsCache), opening: file)
    }

    /// FOPEN_KEEP_CACHE, where nobody else changes files.
    private var keepsCache: UInt32 { mode == .always ? 2 : 0 }

    func create(_ new: NewFile, _ flags: UInt32, _ header: RequestHeader) throws(SystemError) -> Reply {
        let directory = try writable(header.node)
        let flags = Int32(flags & (Self.openFlags | UInt32(O_EXCL)))
        let file = try acting(for: header) { () throws(SystemError) in
            // Somebody else may have put something in its place, which must not keep us waiting.
            try directory.descriptor.open(new.name, flags | O_CREAT | O_NOCTTY | O_NONBLOCK, mode: new.permitted & 0o7777)
        }
        let status = try file.fileStatus()
        guard status.st_mode & S_IFMT == S_IFREG else { throw SystemError(call: "openat", errno: ENXIO) }
        return try opened(file, status, in: directory, header)
    }

    func createUnnamed(_ new: NewFile, _ flags: UInt32, _ header: RequestHeader) throws(SystemError) -> Reply {
        let directory = try writable(header.node)
        let raw = directory.descriptor.raw
        let flags = Int32(flags & (Self.openFlags | UInt32(O_EXCL)))
        let file = try acting(for: header) { () throws(SystemError) in
            // SAFETY: the string is a constant.
            OwnedDescriptor(
                owning: try systemCall("openat") { unsafe clinux_openat(raw, ".", flags | CLINUX_O_TMPFILE | O_CLOEXEC, new.permitted & 0o7777) })
        }
        let status = try file.fileStatus()
        return try opened(file, status, in: directory, header)
    }

    /// The guest knows the file that was opened, not what its name leads to by now.
    private func opened(_ file: consuming OwnedDescriptor, _ status: stat, in directory: Node, _ header: RequestHeader) throws(SystemError) -> Reply {
        let path = path(file.raw)
        // SAFETY: the string outlives the call.
        let held = OwnedDescriptor(
            owning: try systemCall("open") { unsafe path.withCString { unsafe clinux_open($0, CLINUX_O_PATH | O_CLOEXEC, 0) } })
        let entry = try entry(Node(held, status, isReadOnly: directory.isReadOnly), status, in: directory)
        return Reply(Answer(to: header.unique, entry, handle: 0, flags: keepsCache), opening: file)
    }
}

extension NewFile {
    /// With what the mask takes away; a directory's default access list makes the kernel take the list instead, from the mode as it was asked for.
    fileprivate var permitted: UInt32 { mode & ~(mask & 0o777) }
}
