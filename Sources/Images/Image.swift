// An image that is ready to be run: its configuration understood, its layers unread.
public import OCI

/// Where a layer's stored bytes are.
enum LayerSource: Sendable {
    case found(FileRange)
    /// A file of its own, opened when somebody needs it: an image that has been unpacked needs none of its layers, and one may have thousands.
    /// `what` names it in errors.
    case file(Descriptor, any ImageFiles, what: String)
}

/// A layer where it lies, in a file of its own or inside an archive. The host never unpacks it: the guest does.
public struct ImageLayer: Sendable {
    private let source: LayerSource
    /// The host checked `digest` when it stored the layer. Otherwise it must before anything relies on it.
    public let isVerified: Bool
    public let compression: Compression
    /// Of the bytes; nil where the archive doesn't name any.
    public let digest: Digest?
    /// Of the uncompressed tar stream.
    public let diffID: Digest

    init(_ source: LayerSource, isVerified: Bool, compression: Compression, digest: Digest?, diffID: Digest) {
        self.source = source
        self.isVerified = isVerified
        self.compression = compression
        self.digest = digest
        self.diffID = diffID
    }

    /// The layer's bytes.
    public func open() throws(ImageError) -> FileRange {
        switch source {
        case .found(let range): return range
        case .file(let descriptor, let files, let what): return try files.blob(descriptor, what: what)
        }
    }
}

public struct Image: Sendable {
    public let configuration: ImageConfiguration
    /// The lowest first.
    public let layers: [ImageLayer]

    /// Pairs the layers with the configuration's identifiers and refuses another platform's image.
    init(
        configuration: ImageConfiguration, layers: [(source: LayerSource, compression: Compression, digest: Digest?)], areVerified: Bool
    ) throws(ImageError) {
        let platform = configuration.platform
        // Old builders left the platform out; then it is what everybody had.
        let isOurs =
            (platform.operatingSystem == "linux" || platform.operatingSystem.isEmpty)
            && (platform.architecture == "amd64" || platform.architecture.isEmpty)
        guard isOurs else { throw .wrongPlatform([platform]) }
        guard layers.count <= ImageReference.layerLimit else { throw .tooManyLayers(layers.count) }
        guard layers.count == configuration.diffIDs.count else {
            throw .layerCount(layers: layers.count, identifiers: configuration.diffIDs.count)
        }
        self.configuration = configuration
        self.layers = zip(layers, configuration.diffIDs).map {
            ImageLayer($0.source, isVerified: areVerified, compression: $0.compression, digest: $0.digest, diffID: $1)
        }
    }
}
