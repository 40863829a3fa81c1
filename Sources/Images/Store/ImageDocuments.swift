// What the store's images are, told by their manifests and configurations.
public import OCI

/// An image of the store without its layers.
public struct ImageDocuments: Sendable {
    /// Of the manifest, which may be one of several in an index.
    public let descriptor: Descriptor
    public let manifest: ImageManifest
    public let details: ConfigurationDetails

    /// What Docker calls the image's ID.
    public var id: Digest { manifest.configuration.digest }

    /// In bytes, as stored.
    public var size: UInt64 {
        manifest.layers.reduce(descriptor.size &+ manifest.configuration.size) { $0.addingReportingOverflow($1.size).partialValue }
    }
}

/// What the user meant by a word.
public enum ImageSelection: Sendable {
    /// The entry of that name.
    case named(StoredImage)
    /// All entries of the image with that ID.
    case identified(Digest, [StoredImage])

    public var entries: [StoredImage] {
        switch self {
        case .named(let entry): [entry]
        case .identified(_, let entries): entries
        }
    }
}

extension ContentStore {
    /// Fewer digits are no ID: a mistyped name must not hit an image by chance.
    private static let shortestIdentifier = 4
    private static let nestingLimit = 4

    /// Reads the documents of an entry of the index; of several platforms, those of this machine's, or of the first that is there.
    public func documents(_ target: Descriptor) throws(StoreError) -> ImageDocuments {
        var descriptor = target
        for _ in 0..<Self.nestingLimit {
            switch MediaType(descriptor.mediaType) {
            case .manifest: return try manifestDocuments(descriptor)
            case .index:
                var candidates: [Descriptor] = []
                for child in try index(descriptor).manifests where !child.isAttestation {
                    if try has(child) { candidates.append(child) }
                }
                guard let chosen = candidates.first(where: { $0.platform?.isOurs ?? false }) ?? candidates.first else { throw .noManifest }
                descriptor = chosen
            default: throw .unknownMediaType(what: "its manifest", mediaType: descriptor.mediaType)
            }
        }
        throw .nestedTooDeep
    }

    private func manifestDocuments(_ descriptor: Descriptor) throws(StoreError) -> ImageDocuments {
        let manifest = try manifest(descriptor)
        let configuration = manifest.configuration
        guard MediaType(configuration.mediaType) == .configuration else {
            throw .unknownMediaType(what: "its configuration", mediaType: configuration.mediaType)
        }
        let json = try require(configuration, what: "the configuration")
        do throws(OCIError) {
            let details = try ConfigurationDetails(json: json, name: "the configuration \(configuration.digest)")
            return ImageDocuments(descriptor: descriptor, manifest: manifest, details: details)
        } catch { throw .document(error) }
    }

    func manifest(_ descriptor: Descriptor) throws(StoreError) -> ImageManifest {
        let json = try require(descriptor, what: "the manifest")
        do throws(OCIError) { return try ImageManifest(json: json, name: "the manifest \(descriptor.digest)") } catch { throw .document(error) }
    }

    func index(_ descriptor: Descriptor) throws(StoreError) -> ImageIndex {
        let json = try require(descriptor, what: "the index")
        do throws(OCIError) { return try ImageIndex(json: json, name: "the index \(descriptor.digest)") } catch { throw .document(error) }
    }

    /// A document that must be there.
    func require(_ descriptor: Descriptor, what: String) throws(StoreError) -> [UInt8] {
        guard let json = try document(descriptor, what: what) else { throw .missing(what: what, descriptor.digest) }
        return json
    }

    /// Finds what the user calls an image: by name, or by the beginning of its ID, with or without `sha256:`. Nil where nothing fits, or several images do.
    public func select(_ text: String) throws(StoreError) -> ImageSelection? {
        if let name = try? ImageName(text), let entry = try entry(of: name) { return .named(entry) }

        var digits = text.utf8[...]
        if digits.starts(with: "sha256:".utf8) { digits = digits.dropFirst(7) }
        guard (Self.shortestIdentifier...64).contains(digits.count), digits.allSatisfy(Self.isLowerHexadecimal) else { return nil }
        var found: [Digest: [StoredImage]] = [:]
        for image in try images() {
            // An image that can't be read has no ID; its name still leads to it.
            guard let id = try? documents(image.descriptor).id else { continue }
            // Docker's other store calls the manifest's digest the ID.
            if [id, image.descriptor.digest].contains(where: { $0.hexadecimal.utf8.starts(with: digits) }) { found[id, default: []].append(image) }
        }
        guard found.count == 1, let (id, entries) = found.first else { return nil }
        return .identified(id, entries)
    }

    private static func isLowerHexadecimal(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte) }
}
