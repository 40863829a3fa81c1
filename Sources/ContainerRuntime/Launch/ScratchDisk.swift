// Scratch disks: an empty ext4 file system in a file without a name, which is gone when its last descriptor is. docs/adr/0006 says how it is made.
import CLinux
import Glibc
import LinuxSystem

enum ScratchDisk {
    /// How the file system is made, by scripts/disk-template too: nothing that a disk needs which outlives nobody.
    static let makerOptions = [
        "-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-m", "0", "-O",
        "^has_journal,^resize_inode,^metadata_csum,^64bit,uninit_bg,sparse_super2", "-E",
        "num_backup_sb=0,lazy_itable_init=1,assume_storage_prezeroed=1,nodiscard",
    ]

    /// An open, unnamed, sparse file with an empty file system of `size` bytes, rounded down to whole blocks.
    static func make(size: UInt64, directory: String) throws(ContainerError) -> OwnedDescriptor {
        let file: OwnedDescriptor
        do throws(SystemError) { file = try unnamedFile(in: directory) } catch { throw .noScratchSpace(directory: directory, error) }
        do throws(SystemError) { try file.truncate(to: size / 4096 * 4096) } catch { throw .noScratchSpace(directory: directory, error) }
        try makeFileSystem(on: file.raw)
        return file
    }

    private static func unnamedFile(in directory: String) throws(SystemError) -> OwnedDescriptor {
        do throws(SystemError) {
            return try OwnedDescriptor.open(directory, O_RDWR | CLINUX_O_TMPFILE, mode: 0o600)
        } catch {
            // Not every file system knows O_TMPFILE. Then the name lives for a moment only.
            guard error.errno == EOPNOTSUPP || error.errno == EISDIR else { throw error }
            var path = Array((directory + "/swiftlet-XXXXXX").utf8CString)
            let raw = try systemCall("mkstemp", on: directory) {
                // SAFETY: mkstemp replaces the X of the NUL-terminated array in place.
                unsafe path.withUnsafeMutableBufferPointer { buffer -> Int32 in
                    guard let name = buffer.baseAddress else { return -1 }
                    return unsafe mkstemp(name)
                }
            }
            let file = OwnedDescriptor(owning: raw)
            // SAFETY: as above; unlink only reads the name.
            unsafe path.withUnsafeBufferPointer { if let name = $0.baseAddress { unsafe unlink(name) } }
            try systemCall("fcntl") { clinux_fcntl(raw, F_SETFD, FD_CLOEXEC) }
            return file
        }
    }

    private static func isExecutable(_ path: String) -> Bool {
        // SAFETY: access reads the string during the call.
        unsafe access(path, X_OK) == 0
    }

    private static func makeFileSystem(on raw: Int32) throws(ContainerError) {
        // Not in PATH of ordinary users on Debian.
        let programs = ["/usr/sbin/mke2fs", "/sbin/mke2fs", "/usr/local/sbin/mke2fs", "/usr/bin/mke2fs"]
        guard let program = programs.first(where: { isExecutable($0) }) else { throw .noFileSystemMaker }
        let status: Int32
        do throws(SystemError) {
            // In the child the file is descriptor 3, whatever it is here.
            status = try ChildProcess(program, ["mke2fs"] + makerOptions + ["/proc/self/fd/3"], descriptor: raw, as: 3).wait()
        } catch { throw .system(what: "mke2fs cannot be run", error) }
        if status != 0 { throw .fileSystemMakerFailed(status: status) }
    }
}
