// Opening by path: paths are bytes, and where they come from somebody else they must stay beneath a directory (openat2(2)).
import CLinux
import Glibc

extension OwnedDescriptor {
    /// open(2) with O_CLOEXEC of a path that need not be UTF-8. `path` holds no NUL.
    public static func open(path: [UInt8], _ flags: Int32, mode: UInt32 = 0) throws(SystemError) -> OwnedDescriptor {
        let raw = try systemCall("open", on: String(decoding: path, as: UTF8.self)) {
            // SAFETY: the terminated copy outlives the call.
            unsafe withTerminated(path) { unsafe clinux_open($0, flags | O_CLOEXEC, mode) }
        }
        return OwnedDescriptor(owning: raw)
    }

    /// mkdir(2); one that is already there is no error. `path` holds no NUL.
    public static func makeDirectory(path: [UInt8], mode: UInt32) throws(SystemError) {
        do throws(SystemError) {
            try systemCall("mkdir", on: String(decoding: path, as: UTF8.self)) {
                // SAFETY: the terminated copy outlives the call.
                unsafe withTerminated(path) { unsafe mkdir($0, mode) }
            }
        } catch { if error.errno != EEXIST { throw error } }
    }

    /// rename(2). Neither path holds a NUL.
    public static func rename(path: [UInt8], to newPath: [UInt8]) throws(SystemError) {
        try systemCall("rename", on: String(decoding: newPath, as: UTF8.self)) {
            // SAFETY: the terminated copies outlive the call.
            unsafe withTerminated(path) { old in unsafe withTerminated(newPath) { new in unsafe Glibc.rename(old, new) } }
        }
    }

    /// unlink(2).
    public static func remove(path: [UInt8]) throws(SystemError) {
        try systemCall("unlink", on: String(decoding: path, as: UTF8.self)) {
            // SAFETY: the terminated copy outlives the call.
            unsafe withTerminated(path) { unsafe unlink($0) }
        }
    }

    /// linkat(2): names a file that was opened with O_TMPFILE.
    public borrowing func link(to path: [UInt8]) throws(SystemError) {
        let own = Array("/proc/self/fd/\(raw)".utf8)
        try systemCall("linkat", on: String(decoding: path, as: UTF8.self)) {
            // SAFETY: the terminated copies outlive the call.
            unsafe withTerminated(own) { old in
                unsafe withTerminated(path) { new in unsafe linkat(AT_FDCWD, old, AT_FDCWD, new, AT_SYMLINK_FOLLOW) }
            }
        }
    }

    /// openat2(2) with O_CLOEXEC, RESOLVE_BENEATH and RESOLVE_NO_MAGICLINKS: fails with EXDEV where `path` or a link in it leaves this directory.
    public borrowing func open(beneath path: [UInt8], _ flags: Int32) throws(SystemError) -> OwnedDescriptor {
        let directory = raw
        let opened = try systemCall("openat2", on: String(decoding: path, as: UTF8.self)) {
            // SAFETY: the terminated copy outlives the call.
            unsafe withTerminated(path) {
                unsafe clinux_openat2(
                    directory, $0, UInt64(UInt32(bitPattern: flags | O_CLOEXEC)), CLINUX_RESOLVE_BENEATH | CLINUX_RESOLVE_NO_MAGICLINKS)
            }
        }
        return OwnedDescriptor(owning: opened)
    }
}

/// Lends `bytes` as a C string.
private func withTerminated<Result>(_ bytes: [UInt8], _ body: (UnsafePointer<CChar>) -> Result) -> Result {
    let terminated = bytes.map { CChar(bitPattern: $0) } + [0]
    // SAFETY: the pointer is used only within the call, and the array ends with a NUL.
    return unsafe terminated.withUnsafeBufferPointer { buffer in
        guard let base = buffer.baseAddress else { preconditionFailure("an array with a terminator has an address") }
        return unsafe body(base)
    }
}
