// Files by their names in an open directory: the *at calls, which never follow a link in the name's place.
import CLinux
import Glibc

extension OwnedDescriptor {
    /// openat(2) with O_CLOEXEC and O_NOFOLLOW.
    public borrowing func open(child name: String, _ flags: Int32, mode: UInt32 = 0) throws(SystemError) -> OwnedDescriptor {
        let directory = raw
        let opened = try systemCall("openat", on: name) {
            // SAFETY: the string's buffer outlives the call.
            unsafe name.withCString { unsafe clinux_openat(directory, $0, flags | O_CLOEXEC | O_NOFOLLOW, mode) }
        }
        return OwnedDescriptor(owning: opened)
    }

    /// mkdirat(2); one that is already there is no error.
    public borrowing func makeDirectory(child name: String, mode: UInt32) throws(SystemError) {
        let directory = raw
        do throws(SystemError) {
            // SAFETY: the string's buffer outlives the call.
            try systemCall("mkdirat", on: name) { unsafe name.withCString { unsafe mkdirat(directory, $0, mode) } }
        } catch { if error.errno != EEXIST { throw error } }
    }

    /// renameat(2): replaces `newName` in `target`.
    public borrowing func rename(child name: String, to newName: String, in target: borrowing OwnedDescriptor) throws(SystemError) {
        let (from, to) = (raw, target.raw)
        try systemCall("renameat", on: name) {
            // SAFETY: both strings' buffers outlive the call.
            unsafe name.withCString { old in unsafe newName.withCString { new in unsafe renameat(from, old, to, new) } }
        }
    }

    /// unlinkat(2); false where there is no such file.
    @discardableResult
    public borrowing func remove(child name: String) throws(SystemError) -> Bool {
        let directory = raw
        do throws(SystemError) {
            // SAFETY: the string's buffer outlives the call.
            try systemCall("unlinkat", on: name) { unsafe name.withCString { unsafe unlinkat(directory, $0, 0) } }
            return true
        } catch {
            if error.errno == ENOENT { return false }
            throw error
        }
    }

    /// unlinkat(2) of an empty directory; one that isn't there is no error.
    public borrowing func removeDirectory(child name: String) throws(SystemError) {
        let directory = raw
        do throws(SystemError) {
            // SAFETY: the string's buffer outlives the call.
            try systemCall("unlinkat", on: name) { unsafe name.withCString { unsafe unlinkat(directory, $0, AT_REMOVEDIR) } }
        } catch { if error.errno != ENOENT { throw error } }
    }

    /// fstatat(2) with AT_SYMLINK_NOFOLLOW; nil where there is no such file.
    public borrowing func status(ofChild name: String) throws(SystemError) -> FileStatus? {
        let directory = raw
        var status = stat()
        do throws(SystemError) {
            // SAFETY: fstatat reads the string and writes one `stat`.
            try systemCall("fstatat", on: name) { unsafe name.withCString { unsafe fstatat(directory, $0, &status, AT_SYMLINK_NOFOLLOW) } }
        } catch {
            if error.errno == ENOENT { return nil }
            throw error
        }
        return FileStatus(status)
    }

    /// fsync(2): what was written, or the names of a directory, outlive a power failure.
    public borrowing func synchronize() throws(SystemError) {
        let descriptor = raw
        try systemCall("fsync") { fsync(descriptor) }
    }

    /// ftruncate(2).
    public borrowing func truncate(to size: UInt64) throws(SystemError) {
        let descriptor = raw
        try systemCall("ftruncate") { ftruncate(descriptor, Int(size)) }
    }

    /// The names in this directory, without `.` and `..`, in no order; at most `limit` of them.
    public borrowing func names(limit: Int) throws(SystemError) -> [[UInt8]] {
        // A descriptor of its own: closedir closes it, and reading starts at the beginning.
        let copy = try open(child: ".", O_RDONLY | O_DIRECTORY).release()
        // SAFETY: the stream is used by this function alone and closed once; an entry's name ends with a NUL within d_name and is copied before the next call.
        guard let stream = unsafe fdopendir(copy) else {
            let code = clinux_errno()
            close(copy)
            throw SystemError(call: "fdopendir", errno: code)
        }
        defer { unsafe closedir(stream) }
        var names: [[UInt8]] = []
        while names.count < limit, let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { unsafe Array($0.prefix { $0 != 0 }) }
            if name != [0x2E] && name != [0x2E, 0x2E] { names.append(name) }
        }
        return names
    }
}

/// flock(2): belongs to the open file, not to the process, and ends with its last descriptor.
extension OwnedDescriptor {
    public enum LockKind: Sendable {
        case shared, exclusive

        fileprivate var operation: Int32 { self == .shared ? LOCK_SH : LOCK_EX }
    }

    /// Waits until nobody holds a lock that is in the way. A lock that this file already has is given up first.
    public borrowing func lock(_ kind: LockKind) throws(SystemError) {
        let descriptor = raw
        try systemCall("flock") { flock(descriptor, kind.operation) }
    }

    /// False instead of waiting; then this file has no lock any more.
    public borrowing func tryLock(_ kind: LockKind) throws(SystemError) -> Bool {
        let descriptor = raw
        do throws(SystemError) {
            try systemCall("flock") { flock(descriptor, kind.operation | LOCK_NB) }
            return true
        } catch {
            if error.errno == EWOULDBLOCK { return false }
            throw error
        }
    }

    public borrowing func unlock() {
        let descriptor = raw
        // Unlocking an open file can't fail.
        _ = flock(descriptor, LOCK_UN)
    }
}
