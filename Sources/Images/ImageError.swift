// Why an image could not be opened. Each text continues "image NAME: " and says what to do where there is something to do.
public import LinuxSystem
public import OCI

public enum ImageError: Error, Equatable, CustomStringConvertible {
    case emptyReference
    /// A transport of other tools that names no local file.
    case unsupportedTransport(String)
    case invalidSelector(String)
    /// Neither a transport nor an existing path, nor a name.
    case neitherPathNorName(OCIError)
    case store(StoreError)
    case noSuchPath(String)
    case wrongKind(path: String, expected: String)
    case system(SystemError)
    case notAnImage(path: String)
    case compressedArchive(Compression)
    case damagedArchive(String)
    case tooManyMembers(Int)
    case linkLoop(String)
    case document(OCIError)
    case missing(what: String, path: String)
    case escapes(what: String, path: String)
    case sparse(what: String)
    case wrongSize(what: String, expected: UInt64, found: UInt64)
    case wrongDigest(what: String, expected: Digest)
    case tooLarge(what: String, size: UInt64)
    case unknownMediaType(what: String, mediaType: String)
    case wrongPlatform([Platform])
    case unknownName(String, available: [String])
    case ambiguous(available: [String])
    case empty
    case nestedTooDeep
    case tooManyLayers(Int)
    case layerCount(layers: Int, identifiers: Int)

    public var description: String {
        switch self {
        case .emptyReference: "the name is empty: give oci:DIR, oci-archive:FILE or docker-archive:FILE"
        case .unsupportedTransport(let name):
            "the transport \"\(name)\" is not supported: copy the image first, for example with 'skopeo copy SOURCE oci:DIR'"
        case .invalidSelector(let text): "\"\(text)\" is no image number: give @0, @1, …"
        case .neitherPathNorName(let error): "there is no such file or directory, and \(error)"
        case .store(let error): error.description
        case .noSuchPath(let path): "there is no \(path): check the path"
        case .wrongKind(let path, let expected): "\(path) is not \(expected)"
        case .system(let error): Self.explain(error)
        case .notAnImage(let path):
            "\(path) holds no image: expected a directory with the file oci-layout, or a tar archive with index.json or manifest.json"
        case .compressedArchive(let compression):
            compression == .zstd
                ? "the archive is compressed: decompress it with 'zstd -d' first"
                : "the archive is compressed: decompress it with 'gunzip' first"
        case .damagedArchive(let explanation): "the archive \(explanation): copy it again"
        case .tooManyMembers(let limit): "the archive has more than \(limit) members: it is no image archive"
        case .linkLoop(let path): "\(path) in the archive is a link that leads nowhere"
        case .document(let error): error.description
        case .missing(let what, let path): "\(what) is missing (\(path)): copy the image again"
        case .escapes(let what, let path): "\(what) (\(path)) is a link that leaves the image's directory: copy the image with 'skopeo copy'"
        case .sparse(let what): "\(what) is stored as a sparse file: write the archive without --sparse"
        case .wrongSize(let what, let expected, let found):
            "\(what) has \(found) bytes instead of \(expected): it is truncated or corrupt, copy the image again"
        case .wrongDigest(let what, let expected): "\(what) does not match its digest \(expected): it is corrupt, copy the image again"
        case .tooLarge(let what, let size): "\(what) has \(size) bytes; at most \(JSONDocument.sizeLimit) are allowed"
        case .unknownMediaType(let what, let mediaType):
            "\(what) has the unknown media type \"\(mediaType.prefix(100))\": only OCI and Docker container images can be run"
        case .wrongPlatform(let platforms):
            "it is for \(Self.list(platforms.map(\.description))), but this machine runs linux/amd64: get it for that platform"
        case .unknownName(let name, let available):
            "it holds no image named \"\(name)\"" + (available.isEmpty ? "" : ": it has \(Self.list(available))")
        case .ambiguous(let available):
            "it holds several images: append :NAME" + (available.isEmpty ? " or :@NUMBER" : ", one of \(Self.list(available))")
        case .empty: "it holds no image"
        case .nestedTooDeep: "its indexes are nested too deeply"
        case .tooManyLayers(let count): "it has \(count) layers; at most \(ImageReference.layerLimit) are supported"
        case .layerCount(let layers, let identifiers):
            "its manifest has \(layers) layers, but its configuration \(identifiers) diff_ids: it is corrupt, copy the image again"
        }
    }

    private static func explain(_ error: SystemError) -> String {
        error.subject.isEmpty ? "\(error.call) failed: \(error.reason)" : "\(error.subject) cannot be opened: \(error.reason)"
    }

    /// At most eight of them, so that an image can't fill the screen.
    private static func list(_ items: [String]) -> String {
        let shown = items.prefix(8).map { String($0.prefix(100)) }.joined(separator: ", ")
        return items.count > 8 ? shown + ", …" : shown
    }
}
