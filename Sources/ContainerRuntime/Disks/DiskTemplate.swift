// The empty file system that images are unpacked onto, made when Swiftlet is built (scripts/disk-template).
import CLinux
import Glibc
import LinuxSystem

/// A sparse file in few bytes: the magic, the file's size, and records of offset, length and bytes for what isn't zero. Integers are 64-bit, little-endian.
struct DiskTemplate: Equatable {
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
            bytes = try readAll(file.raw, limit: DiskTemplate.sizeLimit)
        } catch { throw .file(what: "the disk template", error, remedy: "install Swiftlet again") }
        guard let template = DiskTemplate(bytes) else { throw .damagedTemplate(path: path) }
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
