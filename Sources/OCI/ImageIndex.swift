// Image indexes (image-index.md) and manifests (manifest.md) of the OCI image specification; Docker's have the same fields.

/// `index.json`, a nested index or a Docker manifest list.
public struct ImageIndex: Equatable, Sendable {
    public let manifests: [Descriptor]

    public init(json: [UInt8], name: String) throws(OCIError) {
        manifests = try JSONDocument.decode(json, name: name) { value throws(FieldError) in
            let object = try JSONObject(value)
            return try object.require("manifests", object.list("manifests") { item throws(FieldError) in try Descriptor(item) })
        }
    }
}

/// An image manifest.
public struct ImageManifest: Equatable, Sendable {
    /// Empty where the document has none.
    public let mediaType: String
    public let configuration: Descriptor
    /// The lowest layer first.
    public let layers: [Descriptor]

    public init(json: [UInt8], name: String) throws(OCIError) {
        self = try JSONDocument.decode(json, name: name) { value throws(FieldError) in try ImageManifest(JSONObject(value)) }
    }

    private init(_ object: JSONObject) throws(FieldError) {
        let version = try object.integer("schemaVersion") ?? 2
        guard version == 2 else { throw FieldError(path: "schemaVersion", problem: ": version \(version) is not supported, only 2") }
        mediaType = try object.string("mediaType") ?? ""
        let configuration = try object.require("config", object.value("config"))
        do throws(FieldError) { self.configuration = try Descriptor(configuration) } catch { throw error.within("config") }
        layers = try object.list("layers") { item throws(FieldError) in try Descriptor(item) } ?? []
    }
}

/// One image of `manifest.json` in an archive written by `docker save`.
public struct DockerArchiveImage: Equatable, Sendable {
    /// The configuration's path in the archive.
    public let configuration: String
    public let repositoryTags: [String]
    /// The layers' paths in the archive, the lowest first.
    public let layers: [String]

    private init(_ object: JSONObject) throws(FieldError) {
        configuration = try object.require("Config", object.string("Config"))
        repositoryTags = try object.strings("RepoTags") ?? []
        layers = try object.strings("Layers") ?? []
    }

    public static func list(json: [UInt8], name: String) throws(OCIError) -> [DockerArchiveImage] {
        try JSONDocument.decode(json, name: name) { value throws(FieldError) in
            try value.list { item throws(FieldError) in try DockerArchiveImage(JSONObject(item)) }
        }
    }
}
