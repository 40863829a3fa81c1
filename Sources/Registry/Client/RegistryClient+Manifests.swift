// Manifests and indexes: "Pulling manifests" of the OCI distribution specification.
import Images
import OCI

/// A manifest or an index, verified.
struct ManifestDocument: Equatable {
    /// What it is, by its media type.
    enum Kind: Equatable { case manifest, index }

    let kind: Kind
    let descriptor: Descriptor
    let bytes: [UInt8]

    /// `mediaType` is what the registry or an index calls it; empty or general where nobody said.
    init(_ bytes: [UInt8], mediaType claimed: String) throws(RegistryError) {
        let named: String
        let hasManifests: Bool
        let hasLayers: Bool
        do throws(OCIError) {
            (named, hasManifests, hasLayers) = try JSONDocument.decode(bytes, name: "the manifest") { value throws(FieldError) in
                let object = try JSONObject(value)
                if try object.integer("schemaVersion") == 1 { throw FieldError(path: "schemaVersion", problem: Self.oldVersion) }
                return (try object.string("mediaType") ?? "", object.value("manifests") != nil, object.value("layers") != nil)
            }
        } catch .invalid(_, "schemaVersion" + Self.oldVersion) { throw .oldManifest } catch { throw .document(error) }
        let isGeneral = ["", "application/json", "application/octet-stream", "text/plain"].contains(claimed)
        let mediaType = isGeneral ? named : claimed
        // One document with two meanings: whoever verified one of them has verified nothing (CVE-2021-41190).
        if !named.isEmpty, named != mediaType { throw .wrongContent(what: "the manifest", problem: "it calls itself \"\(named.prefix(100))\"") }
        if hasManifests && hasLayers { throw .wrongContent(what: "the manifest", problem: "it is an index as well") }

        switch (MediaType(mediaType), mediaType.isEmpty) {
        case (.manifest, _) where !hasManifests: kind = .manifest
        case (.index, _) where !hasLayers: kind = .index
        case (_, true) where hasManifests: kind = .index
        case (_, true) where hasLayers: kind = .manifest
        default: throw .unsupportedMediaType(what: "its manifest", mediaType: mediaType)
        }
        let stated = mediaType.isEmpty ? (kind == .index ? MediaType.ociIndex : MediaType.ociManifest) : mediaType
        descriptor = Descriptor(mediaType: stated, digest: Digest(of: bytes), size: UInt64(bytes.count))
        self.bytes = bytes
    }

    private static let oldVersion = ": version 1"
}

extension MediaType {
    static let ociIndex = "application/vnd.oci.image.index.v1+json"
    static let ociManifest = "application/vnd.oci.image.manifest.v1+json"
    static let dockerList = "application/vnd.docker.distribution.manifest.list.v2+json"
    static let dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
    static let manifests = [ociIndex, dockerList, ociManifest, dockerManifest]
}

extension RegistryClient {
    /// What `reference`, a tag or a digest, means; verified if it is a digest. `what` names the image in errors.
    func manifest(
        _ reference: String, mediaType: String = "", what: String, _ connection: Connection, onWait: WaitObserver
    ) throws(RegistryError) -> ManifestDocument {
        let body = DocumentBody("the manifest", limit: JSONDocument.sizeLimit)
        let (response, message) = try send("manifests/\(reference)", connection, into: body, onWait: onWait) { request in
            request.accepted = MediaType.manifests
            request.timeLimit = 300
        }
        guard response.isSuccess else { throw refusal(response, message, what: what) }
        let found = Digest(of: body.bytes)
        if let expected = try? Digest(reference) {
            guard found == expected else { throw .wrongDigest(what: "the manifest", expected: expected, found: found) }
        } else if let claimed = response.contentDigest, claimed.utf8.starts(with: "sha256:".utf8), claimed != found.description {
            throw .contradictoryDigest(host: host, claimed: claimed, found: found)
        }
        if response.contentType.utf8.starts(with: "application/vnd.docker.distribution.manifest.v1+".utf8) { throw .oldManifest }
        return try ManifestDocument(body.bytes, mediaType: mediaType.isEmpty ? response.contentType : mediaType)
    }

    /// The digest that `tag` has now, asked without fetching anything (registries don't count that as a pull). Nil where the registry doesn't tell.
    func digest(ofTag tag: String, _ connection: Connection, onWait: WaitObserver) throws(RegistryError) -> Digest? {
        let body = DocumentBody("the manifest", limit: JSONDocument.sizeLimit)
        let (response, _) = try send("manifests/\(tag)", connection, into: body, onWait: onWait) { request in
            request.method = .head
            request.accepted = MediaType.manifests
            request.timeLimit = 300
        }
        guard response.isSuccess, let text = response.contentDigest else { return nil }
        return try? Digest(text)
    }
}
