// Images of an archive that an older `docker save` wrote, into the store: such archives have neither digests of layers nor manifests, so these are made.
import LinuxSystem
import OCI

struct DockerArchiveImport {
    let files: ArchiveIndex
    let blobs: BlobImport

    func load() throws(ImageError) -> [LoadedImage] {
        let images = try files.dockerImages()
        if images.isEmpty { throw .empty }
        var layers: [String: Descriptor] = [:]
        return try images.map { image throws(ImageError) in try load(image, &layers) }
    }

    /// `stored`: layers that are there already, by their paths; images of one archive share them.
    private func load(_ image: DockerArchiveImage, _ stored: inout [String: Descriptor]) throws(ImageError) -> LoadedImage {
        var names: [ImageName] = []
        for text in image.repositoryTags {
            do throws(OCIError) { names.append(try ImageName(text)) } catch { throw .document(error) }
        }
        guard image.layers.count <= ImageReference.layerLimit else { throw .tooManyLayers(image.layers.count) }
        let (json, configuration) = try files.configuration(of: image)
        guard image.layers.count == configuration.diffIDs.count else {
            throw .layerCount(layers: image.layers.count, identifiers: configuration.diffIDs.count)
        }

        var ranges: [FileRange] = []
        for (number, path) in image.layers.enumerated() { ranges.append(try files.require(path, what: Self.what(number, image))) }
        blobs.observer.begin(zip(configuration.diffIDs, ranges).map { ($0, $1.length) })
        var layers: [Descriptor] = []
        for (number, path) in image.layers.enumerated() {
            let layer: Descriptor
            if let known = stored[path] {
                layer = known
                blobs.observer.finished(number, false)
            } else {
                layer = try load(ranges[number], path, number: number, what: Self.what(number, image))
            }
            stored[path] = layer
            // Of a compressed layer only the guest learns what is inside.
            let diffID = configuration.diffIDs[number]
            guard MediaType(layer.mediaType) != .layer(.none) || layer.digest == diffID else {
                throw .wrongDigest(what: Self.what(number, image), expected: diffID)
            }
            layers.append(layer)
        }
        let configurationDescriptor = try blobs.add(json, mediaType: "application/vnd.oci.image.config.v1+json")
        let manifest = try blobs.add(Self.manifest(configurationDescriptor, layers), mediaType: "application/vnd.oci.image.manifest.v1+json")
        try blobs.record(names, manifest)
        return LoadedImage(names: names, id: configurationDescriptor.digest, tag: nil)
    }

    private static func what(_ layer: Int, _ image: DockerArchiveImage) -> String { "layer \(layer + 1) of \(image.layers.count)" }

    private func load(_ range: FileRange, _ path: String, number: Int, what: String) throws(ImageError) -> Descriptor {
        let compression = Compression(magic: try range.readPrefix(4))
        let digest = if let named = ArchiveIndex.digest(ofLayer: path) { named } else { try hash(range) }
        let descriptor = Descriptor(mediaType: compression.layerMediaType, digest: digest, size: range.length)
        try blobs.copy(range, as: descriptor, what: what, layer: number)
        return descriptor
    }

    private func hash(_ range: FileRange) throws(ImageError) -> Digest {
        do throws(SystemError) { return try range.digest() } catch { throw .system(error) }
    }

    private static func manifest(_ configuration: Descriptor, _ layers: [Descriptor]) throws(ImageError) -> [UInt8] {
        let manifest = JSONValue.object(
            ("schemaVersion", .integer(2)), ("mediaType", .string("application/vnd.oci.image.manifest.v1+json")),
            ("config", configuration.json), ("layers", .array(layers.map(\.json))))
        do throws(OCIError) { return try manifest.text(limit: Int(JSONDocument.sizeLimit)) } catch { throw .document(error) }
    }
}

extension Compression {
    fileprivate var layerMediaType: String {
        switch self {
        case .none: "application/vnd.oci.image.layer.v1.tar"
        case .gzip: "application/vnd.oci.image.layer.v1.tar+gzip"
        case .zstd: "application/vnd.oci.image.layer.v1.tar+zstd"
        }
    }
}
