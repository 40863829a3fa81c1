// Finding an image in an archive that `docker save` wrote: manifest.json lists each image's configuration and layers by path.
import OCI

struct DockerArchive {
    private let files: ArchiveIndex

    init(_ files: ArchiveIndex) { self.files = files }

    func load(_ selector: ImageSelector) throws(ImageError) -> Image {
        let image = try select(selector, from: files.dockerImages())
        guard image.layers.count <= ImageReference.layerLimit else { throw .tooManyLayers(image.layers.count) }

        let configuration = try files.configuration(of: image).value
        var layers: [(source: LayerSource, compression: Compression, digest: Digest?)] = []
        for (number, path) in image.layers.enumerated() {
            let range = try files.require(path, what: "layer \(number + 1) of \(image.layers.count)")
            let compression = Compression(magic: try range.readPrefix(4))
            layers.append((.found(range), compression, ArchiveIndex.digest(ofLayer: path)))
        }
        return try Image(configuration: configuration, layers: layers, areVerified: false)
    }

    private func select(_ selector: ImageSelector, from images: [DockerArchiveImage]) throws(ImageError) -> DockerArchiveImage {
        let names = images.flatMap(\.repositoryTags)
        switch selector {
        case .number(let number):
            guard images.indices.contains(number) else { throw .unknownName("@\(number)", available: names) }
            return images[number]
        case .name(let name):
            guard let image = images.first(where: { $0.repositoryTags.contains { ImageName.areEqual($0, name) } }) else {
                throw .unknownName(name, available: names)
            }
            return image
        case .only:
            guard let first = images.first else { throw .empty }
            if images.count > 1 { throw .ambiguous(available: names) }
            return first
        }
    }
}

extension ArchiveIndex {
    /// What manifest.json lists.
    func dockerImages() throws(ImageError) -> [DockerArchiveImage] {
        let json = try require("manifest.json", what: "manifest.json").readDocument("manifest.json")
        do throws(OCIError) { return try DockerArchiveImage.list(json: json, name: "manifest.json") } catch { throw .document(error) }
    }

    /// The configuration that manifest.json names, checked against its name where that is a digest.
    func configuration(of image: DockerArchiveImage) throws(ImageError) -> (json: [UInt8], value: ImageConfiguration) {
        let what = "the configuration"
        let json = try require(image.configuration, what: what).readDocument(what)
        if let digest = Self.digest(ofConfiguration: image.configuration), !json.hasDigest(digest) {
            throw .wrongDigest(what: what, expected: digest)
        }
        do throws(OCIError) {
            return (json, try ImageConfiguration(json: json, name: "the configuration \(image.configuration)"))
        } catch { throw .document(error) }
    }

    /// Writers name the configuration by its digest: `HEX.json`, `blobs/sha256/HEX` or `sha256:HEX`.
    private static func digest(ofConfiguration path: String) -> Digest? {
        var name = path.utf8[...]
        for prefix in ["blobs/sha256/", "sha256:"] where name.starts(with: prefix.utf8) { name = name.dropFirst(prefix.utf8.count) }
        if name.count == 69, name.suffix(5).elementsEqual(".json".utf8) { name = name.dropLast(5) }
        return Digest(hexadecimal: name)
    }

    /// Only the layout-like archives of newer versions name a layer by the digest of its stored bytes.
    static func digest(ofLayer path: String) -> Digest? {
        path.utf8.starts(with: "blobs/sha256/".utf8) ? Digest(hexadecimal: path.utf8.dropFirst(13)) : nil
    }
}
