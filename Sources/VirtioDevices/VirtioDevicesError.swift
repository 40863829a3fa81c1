// What keeps a device from being made.
public import LinuxSystem

public enum VirtioDevicesError: Error, Equatable, CustomStringConvertible {
    /// A disk without a byte.
    case emptyDisk(name: String)
    /// Ranges that don't fit 63 bits of bytes.
    case diskTooLarge(name: String)
    /// Extents that aren't in order, aligned, apart from each other and on the disk.
    case overlappingExtents(name: String)
    /// A map that no disk has: more files or runs than can be numbered, or blocks outside of them.
    case damagedMap(name: String)
    /// A writable disk is one extent, and a multiple of 512 bytes.
    case writableDisk(name: String)
    /// More than 20 bytes (VIRTIO_BLK_ID_BYTES).
    case serialTooLong(String)
    /// A file system's tag is empty or has more than 36 bytes (§5.11.4).
    case tagLength(String)
    case host(SystemError)

    public var description: String {
        switch self {
        case .emptyDisk(let name): "disk \(name) is empty"
        case .diskTooLarge(let name): "disk \(name) is larger than 8 EiB"
        case .overlappingExtents(let name): "the parts of disk \(name) don't lie one after another"
        case .damagedMap(let name): "the map of disk \(name) doesn't fit its files"
        case .writableDisk(let name): "disk \(name) is writable and must be one file of a multiple of 512 bytes"
        case .serialTooLong(let serial): "the disk serial \(serial) is longer than 20 bytes"
        case .tagLength(let tag): "the file system's tag '\(tag)' must have 1 to 36 bytes"
        case .host(let error): error.description
        }
    }
}
