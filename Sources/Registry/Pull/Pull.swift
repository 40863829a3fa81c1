// Pulling an image: what its name means, which platform, then its configuration and layers, last of all the name.
// Whatever ends it, what has come stays in the store, and the next pull goes on from there.
public import Images
public import OCI
public import Progress
import LinuxSystem

public struct PullRequest: Sendable {
    public let name: ImageName
    /// Nil: the one that runs here.
    public let platform: Platform?
    /// Plain HTTP and certificates that nobody vouches for will do.
    public let isInsecure: Bool

    public init(name: ImageName, platform: Platform?, isInsecure: Bool) {
        self.name = name
        self.platform = platform
        self.isInsecure = isInsecure
    }
}

public struct PullResult: Equatable, Sendable {
    /// What the name means in the registry: an index, or a manifest.
    public let digest: Digest
    /// The store didn't have this under this name.
    public let isNew: Bool
}

public struct Pull {
    /// An index in an index, as multi-platform images have it, and some room.
    static let nestingLimit = 4

    private let request: PullRequest
    private let store: ContentStore
    private let settings: PullSettings
    private let progress: TransferProgress
    private let client: RegistryClient
    private let connection: Connection

    /// A pull that throws may leave threads behind, in the middle of their transfers: the process is expected to end then, by _exit(2).
    public static func run(
        _ request: PullRequest, into store: ContentStore, _ settings: PullSettings, _ progress: TransferProgress
    ) throws(RegistryError) -> PullResult {
        try Pull(request, store, settings, progress).run()
    }

    private init(_ request: PullRequest, _ store: ContentStore, _ settings: PullSettings, _ progress: TransferProgress) throws(RegistryError) {
        self.request = request
        self.store = store
        self.settings = settings
        self.progress = progress
        client = try RegistryClient(
            registry: request.name.registry, repository: request.name.repository, isInsecure: request.isInsecure,
            environment: settings.environment)
        connection = try Connection(stallSeconds: settings.stallSeconds)
    }

    private func run() throws(RegistryError) -> PullResult {
        let name = request.name
        progress.note(printable("\(name.tag ?? name.digest?.description ?? ""): Pulling from \(name.repository)"))
        let known = try stored { () throws(StoreError) in try store.find(name) }
        let top = try resolve(known)
        let (documents, manifest) = try descend(from: top)
        try fetchContent(of: manifest)
        // The lowest first: what is in the store is complete, down to its layers.
        for document in documents.reversed() {
            _ = try stored { () throws(StoreError) in try store.add(document.bytes, mediaType: document.descriptor.mediaType) }
        }
        // Another platform than ours is only found again if the name means its manifest, not the index.
        let isNative = request.platform?.fits(.native) ?? true
        guard let named = isNative ? documents.first : documents.last else { preconditionFailure("there is a document for every image") }
        let descriptor = named.descriptor
        try stored { () throws(StoreError) in try store.record(name, descriptor) }
        return PullResult(digest: top.descriptor.digest, isNew: known?.digest != descriptor.digest)
    }

    // MARK: Documents

    /// What the name means now.
    private func resolve(_ known: Descriptor?) throws(RegistryError) -> ManifestDocument {
        let name = request.name
        if let known {
            var current = name.digest
            if current == nil, let tag = name.tag { current = try client.digest(ofTag: tag, connection, onWait: note) }
            if current == known.digest, let document = try present(known) { return document }
        }
        let reference = name.digest?.description ?? name.tag ?? ImageName.defaultTag
        return try client.manifest(reference, what: name.familiar, connection, onWait: note)
    }

    /// A document that the store has.
    private func present(_ descriptor: Descriptor) throws(RegistryError) -> ManifestDocument? {
        let bytes: [UInt8]?
        do throws(StoreError) {
            bytes = try store.document(descriptor, what: "the manifest")
        } catch .tooLarge(let what, _) { throw .tooLarge(what: what, limit: JSONDocument.sizeLimit) } catch { throw .store(error) }
        guard let bytes else { return nil }
        return try ManifestDocument(bytes, mediaType: descriptor.mediaType)
    }

    private func get(_ descriptor: Descriptor) throws(RegistryError) -> ManifestDocument {
        if let document = try present(descriptor) { return document }
        let what = "the manifest \(descriptor.digest)"
        return try client.manifest(descriptor.digest.description, mediaType: descriptor.mediaType, what: what, connection, onWait: note)
    }

    /// From an index to the manifest of our platform: all documents on the way, the manifest last.
    private func descend(from top: ManifestDocument) throws(RegistryError) -> (documents: [ManifestDocument], manifest: ImageManifest) {
        var documents = [top]
        while let last = documents.last, last.kind == .index {
            guard documents.count <= Self.nestingLimit else { throw .nestedTooDeep }
            let index: ImageIndex
            do throws(OCIError) { index = try ImageIndex(json: last.bytes, name: "its index") } catch { throw .document(error) }
            let chosen = try PlatformChoice.choose(from: index.manifests, wanted: wanted)
            guard !documents.contains(where: { $0.descriptor.digest == chosen.digest }) else { throw .indexLoop(chosen.digest) }
            guard chosen.size <= JSONDocument.sizeLimit else { throw .tooLarge(what: "the manifest", limit: JSONDocument.sizeLimit) }
            let next = try get(chosen)
            guard next.descriptor.size == chosen.size else {
                throw .wrongSize(what: "the manifest", expected: chosen.size, found: next.descriptor.size)
            }
            documents.append(next)
        }
        guard let json = documents.last?.bytes else { preconditionFailure("there is at least the top") }
        let manifest: ImageManifest
        do throws(OCIError) { manifest = try ImageManifest(json: json, name: "its manifest") } catch { throw .document(error) }
        try check(manifest)
        return (documents, manifest)
    }

    private var wanted: Platform { request.platform ?? .native }

    private func check(_ manifest: ImageManifest) throws(RegistryError) {
        guard MediaType(manifest.configuration.mediaType) == .configuration else {
            throw .unsupportedMediaType(what: "its configuration", mediaType: manifest.configuration.mediaType)
        }
        guard manifest.layers.count <= ImageReference.layerLimit else { throw .tooManyLayers(manifest.layers.count) }
        for (number, layer) in manifest.layers.enumerated() {
            guard case .layer = MediaType(layer.mediaType) else {
                throw .unsupportedMediaType(what: "its layer \(number + 1)", mediaType: layer.mediaType)
            }
        }
    }

    // MARK: Content

    private func fetchContent(of manifest: ImageManifest) throws(RegistryError) {
        // First of all the small document that can tell that the large ones aren't wanted.
        try fetchConfiguration(manifest)
        var layers: [Descriptor] = []
        var seen: Set<Digest> = []
        for layer in manifest.layers where seen.insert(layer.digest).inserted { layers.append(layer) }
        var isComplete = true
        for layer in layers where isComplete {
            // Of another size than its manifest says: then this is to be found out while fetching it.
            isComplete = (try? stored { () throws(StoreError) in try store.open(layer) }) != nil
        }
        if isComplete { return }
        progress.begin(layers.map { ($0.digest, $0.size) })
        try LayerTransfers(client, layers, store, settings, progress).run()
    }

    private func fetchConfiguration(_ manifest: ImageManifest) throws(RegistryError) {
        let descriptor = manifest.configuration
        let what = "the configuration"
        guard descriptor.size <= JSONDocument.sizeLimit else { throw .tooLarge(what: what, limit: JSONDocument.sizeLimit) }
        _ = try client.fetch(descriptor, what: what, into: store, connection, BlobObserver(received: { _ in }, waits: note))
        let json = try stored { () throws(StoreError) in try store.document(descriptor, what: what) } ?? []
        let configuration: ImageConfiguration
        do throws(OCIError) { configuration = try ImageConfiguration(json: json, name: what) } catch { throw .document(error) }
        guard configuration.diffIDs.count == manifest.layers.count else {
            throw .layerCount(layers: manifest.layers.count, identifiers: configuration.diffIDs.count)
        }
        // Old builders left the platform out; then it is what everybody had.
        let platform = configuration.platform
        let stated = Platform(
            operatingSystem: platform.operatingSystem.isEmpty ? Platform.native.operatingSystem : platform.operatingSystem,
            architecture: platform.architecture.isEmpty ? Platform.native.architecture : platform.architecture, variant: platform.variant)
        guard stated.fits(Platform(operatingSystem: wanted.operatingSystem, architecture: wanted.architecture)) else {
            throw .noSuchPlatform(wanted: wanted, available: [stated])
        }
    }

    private func note(_ milliseconds: Int, _ reason: RegistryError) {
        let seconds = (milliseconds + 999) / 1000
        progress.note(printable("Retrying in \(seconds) second\(seconds == 1 ? "" : "s"): \(reason.cause)"))
    }
}
