// Finding an image in an OCI layout (image-layout.md of the OCI image specification), in a directory or an archive.
import OCI

struct LayoutImage<Files: ImageFiles> {
    /// An index in an index, as multi-platform images have it, and some room.
    private let nestingLimit = 4
    private let files: Files

    init(_ files: Files) { self.files = files }

    func load(_ selector: ImageSelector) throws(ImageError) -> Image {
        let index = try decodeIndex(files.require("index.json", what: "index.json").readDocument("index.json"), name: "index.json")
        return try load(select(selector, from: index.manifests))
    }

    /// The image that an index's entry describes, or that it leads to on this platform.
    func load(_ entry: Descriptor) throws(ImageError) -> Image {
        var descriptor = entry
        for _ in 0..<nestingLimit {
            switch MediaType(descriptor.mediaType) {
            case .manifest: return try loadManifest(descriptor)
            case .index:
                let nested = try decodeIndex(readBlob(descriptor, what: "the index"), name: "the index \(descriptor.digest)")
                descriptor = try ours(nested.manifests)
            default: throw .unknownMediaType(what: "its manifest", mediaType: descriptor.mediaType)
            }
        }
        throw .nestedTooDeep
    }

    private func decodeIndex(_ json: [UInt8], name: String) throws(ImageError) -> ImageIndex {
        do throws(OCIError) { return try ImageIndex(json: json, name: name) } catch { throw .document(error) }
    }

    // MARK: Choosing

    private func select(_ selector: ImageSelector, from manifests: [Descriptor]) throws(ImageError) -> Descriptor {
        switch selector {
        case .number(let number):
            guard manifests.indices.contains(number) else { throw .unknownName("@\(number)", available: names(manifests)) }
            return manifests[number]
        case .name(let name):
            let named = manifests.filter { $0.isNamed(name) }
            guard let first = named.first else { throw .unknownName(name, available: names(manifests)) }
            return named.allSatisfy { $0.digest == first.digest } ? first : try ours(named)
        case .only:
            let images = manifests.filter { !$0.isAttestation }
            guard let first = images.first else { throw .empty }
            // `docker save` lists an image once for each of its tags.
            if images.allSatisfy({ $0.digest == first.digest }) { return first }
            let fitting = images.filter { $0.platform?.isOurs ?? false }
            guard fitting.count == 1 else { throw .ambiguous(available: names(images)) }
            return fitting[0]
        }
    }

    private func names(_ manifests: [Descriptor]) -> [String] {
        manifests.compactMap { $0.annotations[Descriptor.referenceName] ?? $0.annotations[Descriptor.containerdName] }
    }

    /// The entry of an index for the platform that the guest runs: linux/amd64, its lowest variant first.
    private func ours(_ manifests: [Descriptor]) throws(ImageError) -> Descriptor {
        let images = manifests.filter { !$0.isAttestation }
        if images.isEmpty { throw .empty }
        let fitting = images.filter { $0.platform?.isOurs ?? false }.sorted { ($0.platform?.variant ?? "") < ($1.platform?.variant ?? "") }
        // Of several variants a store may have only the one that was asked for.
        if fitting.count > 1 { for entry in fitting where try isPresent(entry) { return entry } }
        if let chosen = fitting.first { return chosen }
        // Without a platform the image's own configuration decides.
        if images.count == 1, images[0].platform == nil { return images[0] }
        throw .wrongPlatform(images.compactMap(\.platform))
    }

    private func isPresent(_ descriptor: Descriptor) throws(ImageError) -> Bool {
        try files.find("blobs/sha256/" + descriptor.digest.hexadecimal, what: "the manifest") != nil
    }

    // MARK: Reading

    private func loadManifest(_ descriptor: Descriptor) throws(ImageError) -> Image {
        let json = try readBlob(descriptor, what: "the manifest")
        let manifest: ImageManifest
        do throws(OCIError) { manifest = try ImageManifest(json: json, name: "the manifest \(descriptor.digest)") } catch { throw .document(error) }
        guard manifest.mediaType.isEmpty || MediaType(manifest.mediaType) == .manifest else {
            throw .unknownMediaType(what: "its manifest", mediaType: manifest.mediaType)
        }
        guard MediaType(manifest.configuration.mediaType) == .configuration else {
            throw .unknownMediaType(what: "its configuration", mediaType: manifest.configuration.mediaType)
        }
        guard manifest.layers.count <= ImageReference.layerLimit else { throw .tooManyLayers(manifest.layers.count) }

        let configurationJSON = try readBlob(manifest.configuration, what: "the configuration")
        let configuration: ImageConfiguration
        do throws(OCIError) {
            configuration = try ImageConfiguration(json: configurationJSON, name: "the configuration \(manifest.configuration.digest)")
        } catch { throw .document(error) }

        var layers: [(source: LayerSource, compression: Compression, digest: Digest?)] = []
        for (number, layer) in manifest.layers.enumerated() {
            let what = "layer \(number + 1) of \(manifest.layers.count)"
            guard case .layer(let compression) = MediaType(layer.mediaType) else {
                throw .unknownMediaType(what: what, mediaType: layer.mediaType)
            }
            layers.append((try files.layer(layer, what: what), compression, layer.digest))
        }
        return try Image(configuration: configuration, layers: layers, areVerified: files.areVerified)
    }

    private func readBlob(_ descriptor: Descriptor, what: String) throws(ImageError) -> [UInt8] {
        let bytes = try files.blob(descriptor, what: what).readDocument(what)
        guard bytes.hasDigest(descriptor.digest) else { throw .wrongDigest(what: what, expected: descriptor.digest) }
        return bytes
    }
}

extension Platform {
    /// What the guest runs.
    var isOurs: Bool { operatingSystem == "linux" && architecture == "amd64" }
}

extension Descriptor {
    static let referenceName = "org.opencontainers.image.ref.name"
    static let containerdName = "io.containerd.image.name"

    fileprivate func isNamed(_ name: String) -> Bool {
        if annotations[Self.referenceName] == name { return true }
        return annotations[Self.containerdName].map { ImageName.areEqual($0, name) } ?? false
    }

    /// Provenance that builders put beside an image's manifests; nothing to run.
    var isAttestation: Bool {
        annotations["vnd.docker.reference.type"] != nil
            || platform.map { $0.operatingSystem == "unknown" && $0.architecture == "unknown" } ?? false
    }
}
