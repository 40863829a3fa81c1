// Why the store could not do something. Each text is a sentence without its full stop: what failed, on which value, what to do.
public import LinuxSystem
public import OCI
import Glibc

public enum StoreError: Error, Equatable, CustomStringConvertible {
    /// Neither SWIFTLET_STORE nor a home directory says where the store is.
    case noPlace
    /// A directory with other things in it.
    case notAStore(path: String)
    case noSpace(path: String)
    /// `path` is the file's in the store.
    case system(path: String, SystemError)
    case wrongKind(path: String)
    case damagedIndex(path: String, OCIError)
    case indexFull(path: String)
    /// Removers wait for nobody.
    case inUse(path: String)
    case missing(what: String, Digest)
    case wrongSize(path: String, expected: UInt64, found: UInt64)
    case damaged(path: String)
    case document(OCIError)
    case tooLarge(what: String, size: UInt64)
    case unknownMediaType(what: String, mediaType: String)
    case nestedTooDeep
    case noManifest
    /// An image whose documents are missing or damaged: what it needs is not known.
    case unreadable(image: String, reason: String)
    /// Another process or thread is writing this blob, and the caller didn't want to wait.
    case busy(Digest)

    // What a source does wrong while its blob is written.
    case source(SystemError)
    case tooLong(Digest, size: UInt64)
    case incomplete(Digest, received: UInt64, size: UInt64)
    case wrongDigest(expected: Digest, found: Digest)

    public var description: String {
        switch self {
        case .noPlace: "nothing says where images are stored: set SWIFTLET_STORE to a directory"
        case .notAStore(let path): "\(path) holds other things than images: set SWIFTLET_STORE to another directory, or to an empty one"
        case .noSpace(let path): "no space is left for the image store \(path): free some, for example with 'swiftlet prune', and try again"
        case .system(let path, let error): Self.explain(path, error)
        case .wrongKind(let path): "\(path) in the image store is not a regular file: remove it"
        case .damagedIndex(let path, let error): "the image store is damaged: \(path): \(error): remove the file and get the images again"
        case .indexFull(let path): "the image store's index \(path) is full: remove images with 'swiftlet rmi'"
        case .inUse(let path): "the image store \(path) is in use by another swiftlet: try again when that has ended"
        case .missing(let what, let digest): "\(what) (\(digest)) is missing from the image store: get the image again"
        case .wrongSize(let path, let expected, let found):
            "\(path) in the image store has \(found) bytes instead of \(expected): get the image again"
        case .damaged(let path): "\(path) in the image store does not match its digest: remove the file and get the image again"
        case .document(let error): error.description
        case .tooLarge(let what, let size): "\(what) has \(size) bytes; at most \(JSONDocument.sizeLimit) are allowed"
        case .unknownMediaType(let what, let mediaType):
            "\(what) has the unknown media type \"\(mediaType.prefix(100))\": only OCI and Docker container images can be used"
        case .nestedTooDeep: "its indexes are nested too deeply"
        case .noManifest: "its index lists no image that is in the store: get the image again"
        case .unreadable(let image, let reason):
            "the image \(image) is damaged: \(reason), or remove it with 'swiftlet rmi \(image)'"
        case .busy(let digest): "another swiftlet is storing \(digest): try again when that has ended"
        case .source(let error): "what should be stored cannot be read: \(error.reason)"
        case .tooLong(let digest, let size): "\(digest) has more than the \(size) bytes that it should have"
        case .incomplete(let digest, let received, let size): "\(digest) ends after \(received) of \(size) bytes"
        case .wrongDigest(let expected, let found): "what should be \(expected) is \(found): it is corrupt, get it again"
        }
    }

    private static func explain(_ path: String, _ error: SystemError) -> String {
        switch error.errno {
        case EACCES, EPERM, EROFS:
            "the image store's \(path) may not be used: \(error.reason): check its permissions, or set SWIFTLET_STORE to another directory"
        case EMFILE, ENFILE: "the image store's \(path) cannot be opened: \(error.reason): raise the limit, for example with 'ulimit -n 65536'"
        case ELOOP, ENOTDIR, EISDIR: "\(path) in the image store is not what it should be: \(error.reason): remove it"
        default: "the image store's \(path): \(error.call) failed: \(error.reason)"
        }
    }
}
