// fstat(2) and fstatat(2), as far as the project asks.
import CLinux
import Glibc

/// What an open file is.
public struct FileStatus: Equatable, Sendable {
    public enum Kind: Equatable, Sendable {
        case regular, directory, blockDevice, characterDevice, pipe, socket, symbolicLink, other

        fileprivate init(mode: mode_t) {
            self =
                switch mode & S_IFMT {
                case S_IFREG: .regular
                case S_IFDIR: .directory
                case S_IFBLK: .blockDevice
                case S_IFCHR: .characterDevice
                case S_IFIFO: .pipe
                case S_IFSOCK: .socket
                case S_IFLNK: .symbolicLink
                default: .other
                }
        }
    }

    public let kind: Kind
    /// In bytes; for a block device, its capacity.
    public let size: UInt64
    public let device: UInt64
    public let inode: UInt64
    /// In seconds since 1970.
    public let modified: Int

    public init(of raw: Int32) throws(SystemError) {
        var status = stat()
        // SAFETY: fstat writes one `stat`.
        try systemCall("fstat") { unsafe fstat(raw, &status) }
        kind = Kind(mode: status.st_mode)
        var size = UInt64(max(0, status.st_size))
        if kind == .blockDevice {
            // SAFETY: BLKGETSIZE64 writes one 64-bit count of bytes.
            try systemCall("ioctl BLKGETSIZE64") {
                unsafe withUnsafeMutablePointer(to: &size) { unsafe clinux_ioctl_pointer(raw, CLINUX_BLKGETSIZE64, $0) }
            }
        }
        self.size = size
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        modified = status.st_mtim.tv_sec
    }

    /// Of a file that isn't open: a block device's capacity stays unknown.
    init(_ status: stat) {
        kind = Kind(mode: status.st_mode)
        size = UInt64(max(0, status.st_size))
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        modified = status.st_mtim.tv_sec
    }
}
