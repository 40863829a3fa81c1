// The files of an image, in a directory or inside an archive: both are ranges of open files, found by a path.
public import LinuxSystem
import Glibc
import OCI

/// A regular file that stays open as long as somebody needs it.
public final class OpenFile: Sendable {
    public let descriptor: OwnedDescriptor
    /// In bytes, when it was opened.
    public let size: UInt64

    public init(owning descriptor: consuming OwnedDescriptor, size: UInt64 = 0) {
        self.descriptor = descriptor
        self.size = size
    }

    /// Fails unless `descriptor` is a regular file; `path` is for the error.
    init(_ descriptor: consuming OwnedDescriptor, path: String) throws(ImageError) {
        let status: FileStatus
        do throws(SystemError) { status = try descriptor.status() } catch { throw .system(error) }
        guard status.kind == .regular else { throw .wrongKind(path: path, expected: "a regular file") }
        self.size = status.size
        self.descriptor = descriptor
    }
}

/// A part of an open file.
public struct FileRange: Sendable {
    public let file: OpenFile
    /// In bytes.
    public let offset: UInt64
    /// In bytes.
    public let length: UInt64

    public init(file: OpenFile, offset: UInt64, length: UInt64) {
        self.file = file
        self.offset = offset
        self.length = length
    }

    /// Reads a document; `what` names it in errors.
    func readDocument(_ what: String) throws(ImageError) -> [UInt8] {
        guard length <= JSONDocument.sizeLimit else { throw .tooLarge(what: what, size: length) }
        let bytes = try readPrefix(Int(length))
        guard bytes.count == Int(length) else { throw .wrongSize(what: what, expected: length, found: UInt64(bytes.count)) }
        return bytes
    }

    /// The first bytes, fewer than `count` where the range is shorter.
    func readPrefix(_ count: Int) throws(ImageError) -> [UInt8] {
        do throws(SystemError) {
            return try readAt(file.descriptor.raw, offset: offset, count: min(count, Int(length)))
        } catch { throw .system(error) }
    }
}

/// Where an image's files are.
protocol ImageFiles: Sendable {
    /// The host checked every blob's digest when it was put there.
    var areVerified: Bool { get }

    /// Nil where there is none. `path` is relative to the image's root; `what` names the file in errors.
    func find(_ path: String, what: String) throws(ImageError) -> FileRange?

    /// Where a layer is, or will be looked for.
    func layer(_ descriptor: Descriptor, what: String) throws(ImageError) -> LayerSource
}

extension ImageFiles {
    var areVerified: Bool { false }

    func layer(_ descriptor: Descriptor, what: String) throws(ImageError) -> LayerSource { .file(descriptor, self, what: what) }

    /// A blob whose size is what its descriptor says.
    func blob(_ descriptor: Descriptor, what: String) throws(ImageError) -> FileRange {
        let range = try require("blobs/sha256/" + descriptor.digest.hexadecimal, what: what)
        guard range.length == descriptor.size else { throw .wrongSize(what: what, expected: descriptor.size, found: range.length) }
        return range
    }

    func require(_ path: String, what: String) throws(ImageError) -> FileRange {
        guard let range = try find(path, what: what) else { throw .missing(what: what, path: path) }
        return range
    }
}

/// An OCI layout in a directory.
final class LayoutDirectory: ImageFiles {
    private let directory: OwnedDescriptor

    init(_ directory: consuming OwnedDescriptor) { self.directory = directory }

    func find(_ path: String, what: String) throws(ImageError) -> FileRange? {
        let opened: OwnedDescriptor
        do throws(SystemError) {
            // O_NONBLOCK: a FIFO in a file's place must not hang the open.
            opened = try directory.open(beneath: Array(path.utf8), O_RDONLY | O_NONBLOCK)
        } catch {
            switch error.errno {
            case ENOENT, ENOTDIR: return nil
            case EXDEV, ELOOP: throw .escapes(what: what, path: path)
            default: throw .system(error)
            }
        }
        let file = try OpenFile(opened, path: path)
        return FileRange(file: file, offset: 0, length: file.size)
    }
}

/// The blobs of the store.
struct StoreFiles: ImageFiles {
    let store: ContentStore

    var areVerified: Bool { true }

    func find(_ path: String, what: String) throws(ImageError) -> FileRange? {
        let prefix = "blobs/sha256/"
        guard path.utf8.starts(with: prefix.utf8), let digest = Digest(hexadecimal: path.utf8.dropFirst(prefix.utf8.count)) else { return nil }
        do throws(StoreError) {
            return try store.open(digest).map { FileRange(file: $0, offset: 0, length: $0.size) }
        } catch { throw .store(error) }
    }
}
