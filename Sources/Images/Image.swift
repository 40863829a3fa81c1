// An image that is ready to be run: its configuration understood, its layers open but unread.
public import OCI

/// A layer where it lies, in a file of its own or inside an archive. The host never unpacks it: the guest does.
public struct ImageLayer: Sendable {
    public let range: FileRange
    public let compression: Compression
    /// Of the bytes in `range`; nil where the archive doesn't name any.
    public let digest: Digest?
    /// Of the uncompressed tar stream.
    public let diffID: Digest
    /// The host checked `digest` when it stored the layer. Otherwise it must before anything relies on it.
    public let isVerified: Bool
}

public struct Image: Sendable {
    public let configuration: ImageConfiguration
    /// The lowest first.
    public let layers: [ImageLayer]

    /// In bytes, as stored.
    public var layersLength: UInt64 { layers.reduce(0) { $0 + $1.range.length } }

    /// Pairs the layers with the configuration's identifiers and refuses another platform's image.
    init(
        configuration: ImageConfiguration, layers: [(range: FileRange, compression: Compression, digest: Digest?)], areVerified: Bool
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
            ImageLayer(range: $0.range, compression: $0.compression, digest: $0.digest, diffID: $1, isVerified: areVerified)
        }
    }
}
