// What keeps a device from being made.
public import LinuxSystem

public enum VirtioDevicesError: Error, Equatable, CustomStringConvertible {
    /// A disk without a byte.
    case emptyDisk(name: String)
    /// Ranges that don't fit 63 bits of bytes.
    case diskTooLarge(name: String)
    /// A writable disk is one extent, and a multiple of 512 bytes.
    case writableDisk(name: String)
    /// More than 20 bytes (VIRTIO_BLK_ID_BYTES).
    case serialTooLong(String)
    case host(SystemError)

    public var description: String {
        switch self {
        case .emptyDisk(let name): "disk \(name) is empty"
        case .diskTooLarge(let name): "disk \(name) is larger than 8 EiB"
        case .writableDisk(let name): "disk \(name) is writable and must be one file of a multiple of 512 bytes"
        case .serialTooLong(let serial): "the disk serial \(serial) is longer than 20 bytes"
        case .host(let error): error.description
        }
    }
}
