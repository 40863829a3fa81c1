// Images of an OCI layout, in a directory or an archive, into the store.
import OCI

struct LayoutImport<Files: ImageFiles> {
    private let nestingLimit = 4
    let files: Files
    let blobs: BlobImport

    func load() throws(ImageError) -> [LoadedImage] {
        let json = try files.require("index.json", what: "index.json").readDocument("index.json")
        let entries = try index(json, name: "index.json").manifests.filter { !$0.isAttestation }
        if entries.isEmpty { throw .empty }
        var copied: Set<Digest> = []
        for entry in entries where try !copy(entry, depth: 0, &copied) {
            throw .missing(what: "the manifest", path: Self.path(entry.digest))
        }

        var loaded: [LoadedImage] = []
        // Where several platforms share a name, this machine's gets it: the last one counts.
        for entry in entries.filter({ !($0.platform?.isOurs ?? false) }) + entries.filter({ $0.platform?.isOurs ?? false }) {
            let target = Descriptor(mediaType: entry.mediaType, digest: entry.digest, size: entry.size, platform: entry.platform)
            let id = try blobs.identify(target)
            let (name, tag) = try self.name(of: entry)
            try blobs.record(name.map { [$0] } ?? [], target)
            if let known = loaded.firstIndex(where: { $0.id == id && $0.tag == tag }) {
                if let name, !loaded[known].names.contains(name) { loaded[known].names.append(name) }
            } else {
                loaded.append(LoadedImage(names: name.map { [$0] } ?? [], id: id, tag: tag))
            }
        }
        return loaded
    }

    /// As containerd reads the annotations: its own holds a whole name; the specification's does where it has a "/", ":" or "@", else it is a bare tag.
    private func name(of entry: Descriptor) throws(ImageError) -> (name: ImageName?, tag: String?) {
        guard let text = entry.annotations[Descriptor.containerdName] ?? entry.annotations[Descriptor.referenceName] else { return (nil, nil) }
        let isWhole = entry.annotations[Descriptor.containerdName] != nil || text.utf8.contains { "/:@".utf8.contains($0) }
        guard isWhole else { return (nil, text) }
        do throws(OCIError) { return (try ImageName(text), nil) } catch { throw .document(error) }
    }

    private static func path(_ digest: Digest) -> String { "blobs/sha256/" + digest.hexadecimal }

    private func index(_ json: [UInt8], name: String) throws(ImageError) -> ImageIndex {
        do throws(OCIError) { return try ImageIndex(json: json, name: name) } catch { throw .document(error) }
    }

    /// Copies what the descriptor leads to, and then itself; false where it isn't there.
    private func copy(_ descriptor: Descriptor, depth: Int, _ copied: inout Set<Digest>) throws(ImageError) -> Bool {
        if copied.contains(descriptor.digest) { return true }
        guard let range = try files.find(Self.path(descriptor.digest), what: "the manifest") else { return false }
        switch MediaType(descriptor.mediaType) {
        case .manifest:
            let json = try document(descriptor, range, what: "the manifest")
            let manifest: ImageManifest
            do throws(OCIError) { manifest = try ImageManifest(json: json, name: "the manifest \(descriptor.digest)") } catch {
                throw .document(error)
            }
            guard manifest.layers.count <= ImageReference.layerLimit else { throw .tooManyLayers(manifest.layers.count) }
            try copyBlob(manifest.configuration, what: "the configuration", &copied)
            blobs.observer.begin(manifest.layers.map { ($0.digest, $0.size) })
            for (number, layer) in manifest.layers.enumerated() {
                try copyBlob(layer, what: "layer \(number + 1) of \(manifest.layers.count)", layer: number, &copied)
            }
        case .index:
            guard depth < nestingLimit else { throw .nestedTooDeep }
            var count = 0
            for child in try index(document(descriptor, range, what: "the index"), name: "the index \(descriptor.digest)").manifests {
                // An archive may hold some of the platforms only.
                if try copy(child, depth: depth + 1, &copied), !child.isAttestation { count += 1 }
            }
            if count == 0 { throw .empty }
        default: throw .unknownMediaType(what: "its manifest", mediaType: descriptor.mediaType)
        }
        try blobs.copy(range, as: descriptor, what: "the manifest")
        copied.insert(descriptor.digest)
        return true
    }

    private func document(_ descriptor: Descriptor, _ range: FileRange, what: String) throws(ImageError) -> [UInt8] {
        guard range.length == descriptor.size else { throw .wrongSize(what: what, expected: descriptor.size, found: range.length) }
        let json = try range.readDocument(what)
        guard json.hasDigest(descriptor.digest) else { throw .wrongDigest(what: what, expected: descriptor.digest) }
        return json
    }

    private func copyBlob(_ descriptor: Descriptor, what: String, layer: Int? = nil, _ copied: inout Set<Digest>) throws(ImageError) {
        guard !copied.contains(descriptor.digest) else {
            if let layer { blobs.observer.finished(layer, false) }
            return
        }
        try blobs.copy(files.require(Self.path(descriptor.digest), what: what), as: descriptor, what: what, layer: layer)
        copied.insert(descriptor.digest)
    }
}
