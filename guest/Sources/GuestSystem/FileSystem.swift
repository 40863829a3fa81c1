// Names in file systems. All paths are taken relative to the process's root and working directory, as the system calls do.
internal import CGuest

/// The file type's part of a mode (inode(7)).
public enum FileType {
    public static let mask: UInt32 = 0o170000
    public static let regular: UInt32 = 0o100000
    public static let directory: UInt32 = 0o040000
    public static let symbolicLink: UInt32 = 0o120000
    public static let characterDevice: UInt32 = 0o020000
    public static let blockDevice: UInt32 = 0o060000
    public static let fifo: UInt32 = 0o010000
}

/// What stat(2) says.
public struct FileStatus {
    public let mode: UInt32
    public let size: Int64
    public let device: UInt64
    public let inode: UInt64
    public let user: UInt32
    public let group: UInt32
    /// Of a device node: its major and minor number.
    public let node: (major: UInt32, minor: UInt32)

    public var isDirectory: Bool { mode & FileType.mask == FileType.directory }
    public var isRegular: Bool { mode & FileType.mask == FileType.regular }
    public var isSymbolicLink: Bool { mode & FileType.mask == FileType.symbolicLink }

    public init(of path: CPath, followingLinks: Bool) throws(SystemError) {
        var status = stat()
        // SAFETY: the C string and the buffer outlive the call.
        try systemCall { unsafe path.use { unsafe guest_stat($0, &status, followingLinks ? 0 : AT_SYMLINK_NOFOLLOW) } }
        mode = status.st_mode
        size = Int64(status.st_size)
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        user = status.st_uid
        group = status.st_gid
        node = (guest_device_major(status.st_rdev), guest_device_minor(status.st_rdev))
    }
}

public enum FileSystem {
    // SAFETY of this whole type: every call borrows C strings and buffers that outlive it.

    @inline(never) public static func makeDirectory(_ path: CPath, mode: UInt32) throws(SystemError) {
        try systemCall { unsafe path.use { unsafe mkdir($0, mode) } }
    }

    @inline(never) public static func makeNode(_ path: CPath, mode: UInt32, major: UInt32 = 0, minor: UInt32 = 0) throws(SystemError) {
        try systemCall { unsafe path.use { unsafe mknod($0, mode, guest_device(major, minor)) } }
    }

    @inline(never) public static func makeSymbolicLink(_ path: CPath, to target: CPath) throws(SystemError) {
        try systemCall { unsafe path.use { path in unsafe target.use { unsafe symlink($0, path) } } }
    }

    /// Links `path` to what `target` names, even if that is a symbolic link.
    @inline(never) public static func makeHardLink(_ path: CPath, to target: CPath) throws(SystemError) {
        try systemCall { unsafe path.use { path in unsafe target.use { unsafe link($0, path) } } }
    }

    @inline(never) public static func remove(_ path: CPath) throws(SystemError) { try systemCall { unsafe path.use { unsafe unlink($0) } } }

    @inline(never) public static func removeDirectory(_ path: CPath) throws(SystemError) { try systemCall { unsafe path.use { unsafe rmdir($0) } } }

    /// Where a symbolic link leads.
    @inline(never) public static func target(ofLink path: CPath) throws(SystemError) -> [UInt8] {
        var target = [UInt8](repeating: 0, count: 4096)
        let count = try systemCall {
            unsafe path.use { path in
                unsafe target.withUnsafeMutableBytes { unsafe readlink(path, $0.assumingMemoryBound(to: CChar.self).baseAddress, $0.count) }
            }
        }
        return Array(target[..<count])
    }

    @inline(never) public static func changeMode(_ path: CPath, _ mode: UInt32) throws(SystemError) {
        try systemCall { unsafe path.use { unsafe chmod($0, mode) } }
    }

    @inline(never) public static func changeMode(_ descriptor: Int32, _ mode: UInt32) throws(SystemError) {
        try systemCall { fchmod(descriptor, mode) }
    }

    /// Of a symbolic link itself, not of its target.
    @inline(never) public static func changeOwner(_ path: CPath, user: UInt32, group: UInt32) throws(SystemError) {
        try systemCall { unsafe path.use { unsafe lchown($0, user, group) } }
    }

    @inline(never) public static func changeOwner(_ descriptor: Int32, user: UInt32, group: UInt32) throws(SystemError) {
        try systemCall { fchown(descriptor, user, group) }
    }

    /// Time of last modification (and of access); of a symbolic link itself.
    @inline(never) public static func setTime(_ path: CPath, seconds: Int64, nanoseconds: UInt32) throws(SystemError) {
        try systemCall { unsafe path.use { unsafe guest_set_time(AT_FDCWD, $0, seconds, Int64(nanoseconds)) } }
    }

    @inline(never) public static func setTime(_ descriptor: Int32, seconds: Int64, nanoseconds: UInt32) throws(SystemError) {
        try systemCall { guest_set_time(descriptor, nil, seconds, Int64(nanoseconds)) }
    }

    /// Of a symbolic link itself.
    @inline(never) public static func setAttribute(_ path: CPath, name: CPath, value: [UInt8]) throws(SystemError) {
        try systemCall {
            unsafe path.use { path in
                unsafe name.use { name in unsafe value.withUnsafeBytes { unsafe lsetxattr(path, name, $0.baseAddress, $0.count, 0) } }
            }
        }
    }

    @inline(never) public static func seek(_ descriptor: Int32, to offset: UInt64) throws(SystemError) {
        try systemCall { lseek(descriptor, Int(offset), SEEK_SET) }
    }

    @inline(never) public static func truncate(_ descriptor: Int32, to size: UInt64) throws(SystemError) {
        try systemCall { ftruncate(descriptor, Int(size)) }
    }

    /// The names in a directory, without `.` and `..`.
    @inline(never) public static func names(in path: CPath) throws(SystemError) -> [[UInt8]] {
        let directory = try OwnedDescriptor.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        var names: [[UInt8]] = []
        var buffer = [UInt8](repeating: 0, count: 8192)
        while true {
            let count = try systemCall { unsafe buffer.withUnsafeMutableBytes { unsafe guest_getdents(directory.raw, $0.baseAddress, $0.count) } }
            if count == 0 { return names }
            var index = 0
            // linux_dirent64: inode and offset, 8 bytes each, record length, 2 bytes, type, 1 byte, name up to its NUL.
            while index + 19 < count {
                let length = Int(buffer[index + 16]) | Int(buffer[index + 17]) << 8
                let name = Array(buffer[(index + 19)..<(index + length)].prefix { $0 != 0 })
                if name != [0x2E] && name != [0x2E, 0x2E] { names.append(name) }
                index += length
            }
        }
    }

    @inline(never) public static func mount(
        _ source: CPath, on target: CPath, type: CPath, flags: UInt = 0, data: CPath = ""
    ) throws(SystemError) {
        try systemCall {
            unsafe source.use { source in
                unsafe target.use { target in
                    unsafe type.use { type in unsafe data.use { unsafe CGuest.mount(source, target, type, flags, $0) } }
                }
            }
        }
    }

    /// A copy of the mounts from `path` on, attached to nothing (open_tree(2)); closed by execve(2).
    @inline(never) public static func copyTree(_ path: CPath) throws(SystemError) -> Int32 {
        try systemCall { unsafe path.use { unsafe guest_copy_tree($0) } }
    }

    /// The files of what `copyTree` returned belong to others there: as the user namespace `namespace` has it.
    @inline(never) public static func mapIdentities(ofTree tree: Int32, by namespace: Int32) throws(SystemError) {
        try systemCall { guest_map_identities(tree, namespace) }
    }

    /// Mounts what `copyTree` returned; links are followed.
    @inline(never) public static func attachTree(_ tree: Int32, to target: CPath) throws(SystemError) {
        try systemCall { unsafe target.use { unsafe guest_attach_tree(tree, $0) } }
    }

    /// Detached at once, even in use.
    @inline(never) public static func unmount(_ path: CPath) throws(SystemError) {
        try systemCall { unsafe path.use { unsafe umount2($0, MNT_DETACH) } }
    }

    @inline(never) public static func changeDirectory(_ path: CPath) throws(SystemError) { try systemCall { unsafe path.use { unsafe chdir($0) } } }

    /// The directory that is open.
    @inline(never) public static func changeDirectory(_ descriptor: Int32) throws(SystemError) { try systemCall { fchdir(descriptor) } }

    @inline(never) public static func changeRoot(_ path: CPath) throws(SystemError) { try systemCall { unsafe path.use { unsafe chroot($0) } } }

    /// Both may be the same directory: the old root is then stacked on it (pivot_root(2), "pivot_root(".", ".")").
    @inline(never) public static func pivotRoot(_ root: CPath, _ old: CPath) throws(SystemError) {
        try systemCall { unsafe root.use { root in unsafe old.use { unsafe guest_pivot_root(root, $0) } } }
    }
}
