// Scratch disks: an empty ext4 file system in a file without a name, which is gone when its last descriptor is. docs/adr/ says why it comes from a template.
import CLinux
import Glibc
import LinuxSystem

enum ScratchDisk {
    /// How the file system is made, by scripts/disk-templates too: nothing that a disk needs which outlives nobody.
    static let makerOptions = [
        "-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-m", "0", "-O",
        "^has_journal,^resize_inode,^metadata_csum,^64bit,uninit_bg,sparse_super2", "-E",
        "num_backup_sb=0,lazy_itable_init=1,assume_storage_prezeroed=1,nodiscard",
    ]

    /// An open, unnamed, sparse file with an empty file system of `size` bytes, or of the template's size.
    static func make(size: UInt64?, template: String, directory: String) throws(ContainerError) -> OwnedDescriptor {
        let file: OwnedDescriptor
        do throws(SystemError) { file = try unnamedFile(in: directory) } catch {
            throw .noScratchSpace(directory: directory, error)
        }
        if let size {
            let rounded = size / 4096 * 4096
            do throws(SystemError) { try truncate(file.raw, to: rounded) } catch { throw .noScratchSpace(directory: directory, error) }
            try makeFileSystem(on: file.raw)
        } else {
            let template = try ScratchTemplate(path: template)
            do throws(SystemError) {
                try truncate(file.raw, to: template.size)
                for record in template.records { try writeAt(file.raw, offset: record.offset, record.bytes) }
            } catch { throw .noScratchSpace(directory: directory, error) }
        }
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

    private static func truncate(_ raw: Int32, to size: UInt64) throws(SystemError) {
        try systemCall("ftruncate") { ftruncate(raw, Int(size)) }
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

/// A sparse file in few bytes: the magic, the file's size, and records of offset, length and bytes for what isn't zero. Integers are 64-bit, little-endian.
struct ScratchTemplate: Equatable {
    static let magic = Array("SWSPARSE".utf8)
    static let sizeLimit = 16 << 20

    struct Record: Equatable {
        /// In bytes.
        let offset: UInt64
        let bytes: [UInt8]
    }

    /// In bytes.
    let size: UInt64
    let records: [Record]

    init(path: String) throws(ContainerError) {
        let bytes: [UInt8]
        do throws(SystemError) {
            let file = try OwnedDescriptor.open(path, O_RDONLY)
            bytes = try readAll(file.raw, limit: ScratchTemplate.sizeLimit)
        } catch { throw .file(what: "the disk template", error, remedy: "install Swiftlet again") }
        guard let template = ScratchTemplate(bytes) else { throw .damagedTemplate(path: path) }
        self = template
    }

    /// Nil where `bytes` is no template.
    init?(_ bytes: [UInt8]) {
        var position = Self.magic.count
        func integer() -> UInt64? {
            guard bytes.count - position >= 8 else { return nil }
            let value = bytes[position..<position + 8].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            position += 8
            return value
        }
        guard bytes.starts(with: Self.magic), let size = integer(), size <= RunOptions.maximumStorage else { return nil }
        var records: [Record] = []
        while position < bytes.count {
            guard let offset = integer(), let length = integer(), length <= UInt64(bytes.count - position), offset <= size,
                length <= size - offset
            else { return nil }
            records.append(Record(offset: offset, bytes: Array(bytes[position..<position + Int(length)])))
            position += Int(length)
        }
        self.size = size
        self.records = records
    }
}
