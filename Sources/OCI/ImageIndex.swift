// Image indexes (image-index.md) and manifests (manifest.md) of the OCI image specification; Docker's have the same fields.

/// `index.json`, a nested index or a Docker manifest list.
public struct ImageIndex: Decodable, Equatable, Sendable {
    public let manifests: [Descriptor]

    private enum CodingKeys: String, CodingKey { case manifests }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        manifests = try values.decode([Descriptor].self, forKey: .manifests)
    }

    public init(json: [UInt8], name: String) throws(OCIError) {
        self = try JSONDocument.decode(ImageIndex.self, json, name: name)
    }
}

/// An image manifest.
public struct ImageManifest: Decodable, Equatable, Sendable {
    /// Empty where the document has none.
    public let mediaType: String
    public let configuration: Descriptor
    /// The lowest layer first.
    public let layers: [Descriptor]

    private enum CodingKeys: String, CodingKey {
        case configuration = "config"
        case mediaType, layers, schemaVersion
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        let version = try values.decodeIfPresent(Int.self, forKey: .schemaVersion) ?? 2
        guard version == 2 else {
            throw DecodingError.dataCorruptedError(
                forKey: .schemaVersion, in: values, debugDescription: "version \(version) is not supported, only 2")
        }
        mediaType = try values.decodeIfPresent(String.self, forKey: .mediaType) ?? ""
        configuration = try values.decode(Descriptor.self, forKey: .configuration)
        layers = try values.decodeIfPresent([Descriptor].self, forKey: .layers) ?? []
    }

    public init(json: [UInt8], name: String) throws(OCIError) {
        self = try JSONDocument.decode(ImageManifest.self, json, name: name)
    }
}

/// One image of `manifest.json` in an archive written by `docker save`.
public struct DockerArchiveImage: Decodable, Equatable, Sendable {
    /// The configuration's path in the archive.
    public let configuration: String
    public let repositoryTags: [String]
    /// The layers' paths in the archive, the lowest first.
    public let layers: [String]

    private enum CodingKeys: String, CodingKey {
        case configuration = "Config"
        case repositoryTags = "RepoTags"
        case layers = "Layers"
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        configuration = try values.decode(String.self, forKey: .configuration)
        repositoryTags = try values.decodeIfPresent([String].self, forKey: .repositoryTags) ?? []
        layers = try values.decodeIfPresent([String].self, forKey: .layers) ?? []
    }

    public static func list(json: [UInt8], name: String) throws(OCIError) -> [DockerArchiveImage] {
        try JSONDocument.decode([DockerArchiveImage].self, json, name: name)
    }
}
