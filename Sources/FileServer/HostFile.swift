// The calls by which files are reached: a directory's descriptor and one component, or a descriptor alone. Nothing here walks a path.
import CLinux
import FUSE
import Glibc
import LinuxSystem

extension Name {
    /// For calls that take a string.
    func withCString<Result>(_ body: (UnsafePointer<CChar>) -> Result) -> Result { unsafe bytes.withCString(body) }
}

extension [UInt8] {
    /// With a NUL behind it; none is in it. On the stack: this is on the way to every file.
    func withCString<Result>(_ body: (UnsafePointer<CChar>) -> Result) -> Result {
        // SAFETY: all of the room is written before the body gets it, for as long as it is there.
        unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: count + 1) { string in
            for index in indices { unsafe string.initializeElement(at: index, to: CChar(bitPattern: self[index])) }
            unsafe string.initializeElement(at: count, to: 0)
            return unsafe body(UnsafePointer(string.baseAddress.unsafelyUnwrapped))
        }
    }
}

extension OwnedDescriptor {
    borrowing func fileStatus() throws(SystemError) -> stat {
        let raw = raw
        var status = stat()
        // SAFETY: fstat writes one `stat`.
        try systemCall("fstat") { unsafe fstat(raw, &status) }
        return status
    }

    /// openat(2) with O_CLOEXEC and O_NOFOLLOW.
    borrowing func open(_ name: Name, _ flags: Int32, mode: UInt32 = 0) throws(SystemError) -> OwnedDescriptor {
        let raw = raw
        return OwnedDescriptor(
            owning: try systemCall("openat") { unsafe name.withCString { unsafe clinux_openat(raw, $0, flags | O_CLOEXEC | O_NOFOLLOW, mode) } })
    }
}

extension Attributes {
    init(_ status: stat) {
        self.init()
        inode = UInt64(status.st_ino)
        size = UInt64(max(0, status.st_size))
        blocks = UInt64(max(0, status.st_blocks))
        accessed = FileTime(seconds: Int64(status.st_atim.tv_sec), nanoseconds: UInt32(status.st_atim.tv_nsec))
        modified = FileTime(seconds: Int64(status.st_mtim.tv_sec), nanoseconds: UInt32(status.st_mtim.tv_nsec))
        changed = FileTime(seconds: Int64(status.st_ctim.tv_sec), nanoseconds: UInt32(status.st_ctim.tv_nsec))
        mode = status.st_mode
        links = UInt32(truncatingIfNeeded: status.st_nlink)
        user = status.st_uid
        group = status.st_gid
        device = Self.encoded(UInt64(status.st_rdev))
        blockSize = UInt32(truncatingIfNeeded: status.st_blksize)
    }

    /// glibc's number of a device to the kernel's (`new_encode_dev`).
    private static func encoded(_ device: UInt64) -> UInt32 {
        let major = UInt32(truncatingIfNeeded: (device >> 8) & 0xFFF | (device >> 32) & ~0xFFF)
        let minor = UInt32(truncatingIfNeeded: device & 0xFF | (device >> 12) & ~0xFF)
        return minor & 0xFF | (major & 0xFFF) << 8 | (minor & ~0xFF) << 12
    }

    /// And back.
    static func device(encoded: UInt32) -> UInt64 {
        let (major, minor) = (UInt64(encoded >> 8 & 0xFFF), UInt64(encoded & 0xFF | encoded >> 12 & 0xFFF00))
        return (major & 0xFFF) << 8 | (major & ~0xFFF) << 32 | minor & 0xFF | (minor & ~0xFF) << 12
    }
}
