// The VMM's root directory: empty. All that it uses comes to it as open descriptors.
import CJail
import CLinux
import Glibc
import LinuxSystem

enum MountTree {
    /// Needs a mount namespace of its own, and CAP_SYS_ADMIN over it.
    static func enterEmptyRoot() throws(SystemError) {
        // Before anything else: nothing done here is seen outside.
        try mount(nil, on: "/", kind: nil, flags: UInt(MS_REC) | UInt(MS_PRIVATE), options: nil)
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

    private static func mount(_ source: String?, on target: String, kind: String?, flags: UInt, options: String?) throws(SystemError) {
        // SAFETY: the strings outlive the call, which copies them.
        try systemCall("mount", on: target) { unsafe Glibc.mount(source, target, kind, flags, options) }
    }
}
