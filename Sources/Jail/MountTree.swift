// Root directories: empty. All that the VMM and its file server use comes to them as open descriptors.
import CJail
import CLinux
import Glibc
import LinuxSystem

enum MountTree {
    /// Needs a mount namespace of its own, and CAP_SYS_ADMIN over it.
    static func enterEmptyRoot() throws(SystemError) {
        try becomePrivate()
        // Any directory will do; this one is on every machine, and was needed for the last time.
        let empty = UInt(MS_RDONLY) | UInt(MS_NOSUID) | UInt(MS_NODEV) | UInt(MS_NOEXEC)
        try mount("tmpfs", on: "/proc", kind: "tmpfs", flags: empty, options: "mode=0555,size=4k,nr_inodes=1")
        // SAFETY: these calls read their strings and nothing else.
        try systemCall("chdir", on: "/proc") { unsafe chdir("/proc") }
        // The old root comes to lie upon the new one, from where it is taken away (pivot_root(2), "pivot_root(".", ".")").
        try systemCall("pivot_root") { unsafe cjail_pivot_root(".", ".") }
        try systemCall("umount2") { unsafe umount2(".", Int32(MNT_DETACH)) }
        try systemCall("chdir", on: "/") { unsafe chdir("/") }
    }

    /// Nothing that is mounted or unmounted from here on is seen outside.
    static func becomePrivate() throws(SystemError) {
        try mount(nil, on: "/", kind: nil, flags: UInt(MS_REC) | UInt(MS_PRIVATE), options: nil)
    }

    /// A copy of the mounts below a directory or of a file, attached to nothing: where it begins, ".." leads nowhere. Nothing in it is a program or a device of this process.
    static func copy(of source: Jail.TreeSource, at path: [UInt8]) throws(SystemError) -> OwnedDescriptor {
        // The descriptor belongs to the mounts of whoever opened it, which an ordinary user may not copy from here. Its name may; what it leads to is looked at afterwards.
        let wanted = try FileStatus(of: source.descriptor)
        let copy = OwnedDescriptor(
            owning: try systemCall("open_tree", on: String(decoding: path, as: UTF8.self)) {
                // SAFETY: the terminated copy outlives the call.
                unsafe (path + [0]).withUnsafeBufferPointer { buffer in
                    unsafe buffer.withMemoryRebound(to: CChar.self) { unsafe cjail_copy_tree($0.baseAddress) }
                }
            })
        let raw = copy.raw
        let found = try FileStatus(of: raw)
        guard found.device == wanted.device, found.inode == wanted.inode else {
            throw SystemError(call: "open_tree", subject: String(decoding: path, as: UTF8.self), errno: ESTALE)
        }
        try systemCall("mount_setattr", on: String(decoding: path, as: UTF8.self)) { cjail_restrict_tree(raw, source.isReadOnly ? 1 : 0) }
        return copy
    }

    /// What an open file is called.
    static func path(of descriptor: Int32) throws(SystemError) -> [UInt8] {
        let link = "/proc/self/fd/\(descriptor)"
        var path = [UInt8](repeating: 0, count: 4096)
        let count = try systemCall("readlink", on: link) {
            // SAFETY: the kernel writes at most `count` bytes into the array during the call.
            unsafe path.withUnsafeMutableBytes { buffer in
                guard let base = buffer.baseAddress else { return 0 }
                return unsafe readlink(link, base.assumingMemoryBound(to: CChar.self), buffer.count)
            }
        }
        return Array(path[..<count])
    }

    /// The directory /proc/self/fd of a proc(5) that knows this pid namespace alone and nothing of the system (subset=pid), attached to nothing.
    static func ownDescriptors() throws(SystemError) -> OwnedDescriptor {
        OwnedDescriptor(owning: try systemCall("fsmount", on: "proc") { cjail_open_own_descriptors() })
    }

    private static func mount(_ source: String?, on target: String, kind: String?, flags: UInt, options: String?) throws(SystemError) {
        // SAFETY: the strings outlive the call, which copies them.
        try systemCall("mount", on: target) { unsafe Glibc.mount(source, target, kind, flags, options) }
    }
}
