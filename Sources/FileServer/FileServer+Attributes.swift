// Attributes, links' targets, extended attributes, file systems.
import CLinux
import FUSE
import Glibc
import LinuxSystem

extension FileServer {
    func attributes(_ header: RequestHeader) throws(SystemError) -> Reply {
        guard header.node != NodeTable.top else { return Reply(Answer(to: header.unique, topAttributes, validity: mode.validity)) }
        let node = try node(header.node)
        return Reply(Answer(to: header.unique, Attributes(try node.descriptor.fileStatus()), validity: mode.validity))
    }

    private var topAttributes: Attributes {
        var attributes = Attributes()
        attributes.inode = NodeTable.top
        attributes.mode = S_IFDIR | 0o555
        attributes.links = UInt32(clamping: roots.count + 2)
        attributes.blockSize = 4096
        return attributes
    }

    /// In the order in which one call doesn't undo another: chown(2) and truncate(2) clear set-id bits, all three set times.
    func change(_ node: Node, to changes: AttributeChanges) throws(SystemError) {
        if node.isReadOnly { throw SystemError(call: "", errno: EROFS) }
        let (raw, path) = (node.descriptor.raw, path(node))
        if let size = changes.size {
            guard node.type == S_IFREG, size <= UInt64(Int64.max) else { throw SystemError(call: "truncate", errno: EINVAL) }
            // SAFETY: the string outlives the call.
            try systemCall("truncate") { unsafe path.withCString { unsafe truncate($0, Int(size)) } }
        }
        if changes.user != nil || changes.group != nil {
            // SAFETY: the string is a constant. An id of -1 stays.
            try systemCall("fchownat") { unsafe fchownat(raw, "", changes.user ?? .max, changes.group ?? .max, CLINUX_AT_EMPTY_PATH) }
        }
        if var mode = changes.mode {
            if changes.dropsPrivileges { mode &= ~(S_ISUID | S_ISGID) }
            // Links have none of their own.
            guard node.type != S_IFLNK else { throw SystemError(call: "chmod", errno: EOPNOTSUPP) }
            // SAFETY: the string outlives the call.
            try systemCall("chmod") { unsafe path.withCString { unsafe chmod($0, mode) } }
        }
        if changes.accessed != nil || changes.modified != nil {
            let times = [Self.time(changes.accessed), Self.time(changes.modified)]
            // SAFETY: the call reads two times and the string, which outlive it.
            try systemCall("utimensat") {
                unsafe path.withCString { path in unsafe times.withUnsafeBufferPointer { unsafe utimensat(AT_FDCWD, path, $0.baseAddress, 0) } }
            }
        }
    }

    /// UTIME_NOW and UTIME_OMIT, which Swift's importer doesn't see.
    private static func time(_ time: AttributeChanges.Time?) -> timespec {
        switch time {
        case .now: timespec(tv_sec: 0, tv_nsec: (1 << 30) - 1)
        case nil: timespec(tv_sec: 0, tv_nsec: (1 << 30) - 2)
        case .at(let time): timespec(tv_sec: Int(time.seconds), tv_nsec: Int(time.nanoseconds))
        }
    }

    func target(of node: Node) throws(SystemError) -> [UInt8] {
        let raw = node.descriptor.raw
        var target = [UInt8](repeating: 0, count: 4096)
        let count = try systemCall("readlinkat") {
            // SAFETY: the call writes at most as many bytes as the array has. An empty name is the descriptor's own link.
            unsafe target.withUnsafeMutableBytes { buffer in
                unsafe buffer.withMemoryRebound(to: CChar.self) { unsafe readlinkat(raw, "", $0.baseAddress.unsafelyUnwrapped, $0.count) }
            }
        }
        return Array(target[..<count])
    }

    // MARK: Extended attributes

    func set(_ name: [UInt8], _ value: [UInt8], _ flags: UInt32, of node: Node) throws(SystemError) {
        // SAFETY: the strings and the value outlive the call.
        try systemCall("setxattr") {
            unsafe path(node).withCString { path in
                unsafe name.withCString { name in
                    unsafe value.withUnsafeBytes { unsafe setxattr(path, name, $0.baseAddress, $0.count, Int32(bitPattern: flags)) }
                }
            }
        }
    }

    func removeAttribute(_ name: [UInt8], of node: Node) throws(SystemError) {
        // SAFETY: the strings outlive the call.
        try systemCall("removexattr") { unsafe path(node).withCString { path in unsafe name.withCString { unsafe removexattr(path, $0) } } }
    }

    func get(_ name: [UInt8], _ limit: UInt32, of node: Node, _ header: RequestHeader) throws(SystemError) -> Reply {
        let path = path(node)
        return unsafe try value(limit, header, "getxattr") { buffer in
            // SAFETY: the call writes at most as many bytes as the buffer has.
            unsafe path.withCString { path in unsafe name.withCString { unsafe getxattr(path, $0, buffer.baseAddress, buffer.count) } }
        }
    }

    func listAttributes(_ limit: UInt32, of node: Node, _ header: RequestHeader) throws(SystemError) -> Reply {
        let path = path(node)
        return unsafe try value(limit, header, "listxattr") { buffer in
            // SAFETY: the call writes at most as many bytes as the buffer has.
            unsafe path.withCString { path in
                unsafe buffer.withMemoryRebound(to: CChar.self) { unsafe listxattr(path, $0.baseAddress, $0.count) }
            }
        }
    }

    /// A limit of 0 asks how much there is.
    private func value(
        _ limit: UInt32, _ header: RequestHeader, _ call: String, _ body: (UnsafeMutableRawBufferPointer) -> Int
    ) throws(SystemError) -> Reply {
        var value = [UInt8](repeating: 0, count: Int(min(limit, 64 << 10)))
        let count = try systemCall(call) { unsafe value.withUnsafeMutableBytes { unsafe body($0) } }
        if limit == 0 { return Reply(Answer(to: header.unique, count: UInt32(count))) }
        return Reply(Answer(to: header.unique, bytes: Array(value[..<count])))
    }

    // MARK: File systems

    func fileSystem(of number: UInt64) throws(SystemError) -> FileSystemStatus {
        let node = number == NodeTable.top ? roots.first : try node(number)
        guard let raw = node?.descriptor.raw else { return FileSystemStatus() }
        var found = statvfs()
        // SAFETY: fstatvfs writes one `statvfs`.
        try systemCall("fstatvfs") { unsafe fstatvfs(raw, &found) }
        var status = FileSystemStatus()
        status.blocks = UInt64(found.f_blocks)
        status.freeBlocks = UInt64(found.f_bfree)
        status.availableBlocks = UInt64(found.f_bavail)
        status.files = UInt64(found.f_files)
        status.freeFiles = UInt64(found.f_ffree)
        status.blockSize = UInt32(clamping: found.f_bsize)
        status.fragmentSize = UInt32(clamping: found.f_frsize)
        status.nameLength = UInt32(Name.lengthLimit)
        return status
    }

    func synchronizeFileSystem(of node: Node) throws(SystemError) {
        guard node.type == S_IFDIR else { throw SystemError(call: "syncfs", errno: EINVAL) }
        let file = try openForReading(node)
        let raw = file.raw
        try systemCall("syncfs") { clinux_syncfs(raw) }
        withExtendedLifetime(file) {}
    }
}
