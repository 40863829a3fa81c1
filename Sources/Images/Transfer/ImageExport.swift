// `save`: images of the store as one archive that is both an OCI layout and a Docker archive, as Docker 25 and later write it.
import Archive
public import LinuxSystem
public import OCI

/// An image to be saved.
public struct SavedImage: Sendable {
    /// Empty for one that was chosen by its ID.
    public var names: [ImageName]
    public let descriptor: Descriptor

    public init(names: [ImageName], descriptor: Descriptor) {
        self.names = names
        self.descriptor = descriptor
    }
}

public enum ExportError: Error, Equatable {
    case store(StoreError)
    /// The archive can't be written.
    case output(SystemError)
}

public struct ImageExport {
    private static let documentLimit = Int(JSONDocument.sizeLimit)

    private let store: ContentStore
    private let output: Int32
    private let observer: TransferObserver
    /// By their names, which is the order in which they are written.
    private var blobs: [String: Descriptor] = [:]
    private var index: [JSONValue] = []
    private var manifest: [JSONValue] = []

    /// Writes an archive of `images` to an open file. Equal images make equal archives.
    public static func write(
        _ images: [SavedImage], from store: ContentStore, to output: Int32, _ observer: TransferObserver = .none
    ) throws(ExportError) {
        var export = ImageExport(store: store, output: output, observer: observer)
        do throws(StoreError) { for image in images { try export.add(image) } } catch { throw .store(error) }
        try export.write()
    }

    private init(store: ContentStore, output: Int32, observer: TransferObserver) {
        self.store = store
        self.output = output
        self.observer = observer
    }

    // MARK: What it will hold

    private mutating func add(_ image: SavedImage) throws(StoreError) {
        let documents = try store.documents(image.descriptor)
        // Other platforms may be missing here; then the archive holds the one that isn't.
        let isWhole = try addTree(image.descriptor, dryRun: true, depth: 0)
        let target = isWhole ? image.descriptor : documents.descriptor
        _ = try addTree(target, dryRun: false, depth: 0)

        let tagged = image.names.filter { $0.tag != nil && $0.digest == nil }
        if tagged.isEmpty { index.append(target.with(annotations: [:]).json) }
        for name in tagged {
            index.append(
                target.with(annotations: [Descriptor.containerdName: name.canonical, Descriptor.referenceName: name.tag ?? ""]).json)
        }
        manifest.append(
            .object(
                ("Config", .string(ContentStore.blobPath(documents.id))), ("RepoTags", tagged.isEmpty ? .null : .strings(tagged.map(\.familiar))),
                ("Layers", .strings(documents.manifest.layers.map { ContentStore.blobPath($0.digest) }))))
    }

    /// Collects what a descriptor leads to; false where some of it isn't there, which only an index may lead to.
    private mutating func addTree(_ descriptor: Descriptor, dryRun: Bool, depth: Int) throws(StoreError) -> Bool {
        guard try store.has(descriptor) else { return false }
        var content = [descriptor]
        switch MediaType(descriptor.mediaType) {
        case .index:
            guard depth < 4 else { throw .nestedTooDeep }
            for child in try store.index(descriptor).manifests {
                guard try addTree(child, dryRun: dryRun, depth: depth + 1) else { return false }
            }
        case .manifest:
            let manifest = try store.manifest(descriptor)
            content += [manifest.configuration] + manifest.layers
        default: break
        }
        if !dryRun { for blob in content { blobs[blob.digest.hexadecimal] = blob } }
        return true
    }

    // MARK: Writing

    private func write() throws(ExportError) {
        try put(ArchiveWriter.directory(Array("blobs/".utf8)) + ArchiveWriter.directory(Array("blobs/sha256/".utf8)))
        var layers: [(digest: Digest, size: UInt64)] = []
        for (_, blob) in blobs where blob.isLayer { layers.append((blob.digest, blob.size)) }
        layers.sort { $0.digest.hexadecimal < $1.digest.hexadecimal }
        observer.begin(layers)
        var number = 0
        for (_, blob) in blobs.sorted(by: { $0.key < $1.key }) {
            try put(blob, layer: blob.isLayer ? number : nil)
            if blob.isLayer { number += 1 }
        }
        let index = JSONValue.object(
            ("schemaVersion", .integer(2)), ("mediaType", .string("application/vnd.oci.image.index.v1+json")), ("manifests", .array(index)))
        try put("index.json", index)
        try put("manifest.json", .array(manifest))
        try put("oci-layout", .object(("imageLayoutVersion", .string("1.0.0"))))
        try put(ArchiveWriter.end)
    }

    private func put(_ bytes: [UInt8]) throws(ExportError) {
        do throws(SystemError) { try writeAll(output, bytes) } catch { throw .output(error) }
    }

    private func put(_ name: String, _ document: JSONValue) throws(ExportError) {
        let bytes: [UInt8]
        do throws(OCIError) { bytes = try document.text(limit: Self.documentLimit) } catch { throw .store(.document(error)) }
        let size = UInt64(bytes.count)
        try put(ArchiveWriter.file(Array(name.utf8), size: size) + bytes + [UInt8](repeating: 0, count: ArchiveWriter.padding(size)))
    }

    /// Copies a blob and checks it on its way: what the store's disk has lost must not be passed on.
    private func put(_ blob: Descriptor, layer: Int?) throws(ExportError) {
        let path = ContentStore.blobPath(blob.digest)
        let file: OpenFile
        do throws(StoreError) {
            guard let opened = try store.open(blob) else { throw .missing(what: "a part of the image", blob.digest) }
            file = opened
        } catch { throw .store(error) }
        try put(ArchiveWriter.file(Array(path.utf8), size: blob.size))
        var hash = ContentHash()
        var position: UInt64 = 0
        while position < blob.size {
            let bytes: [UInt8]
            do throws(SystemError) {
                bytes = try readAt(file.descriptor.raw, offset: position, count: Int(min(blob.size - position, 1 << 20)))
            } catch { throw .store(store.failure(error, path)) }
            if bytes.isEmpty { break }
            // SAFETY: the buffer is the array's own storage during the call.
            unsafe bytes.withUnsafeBytes { unsafe hash.add($0) }
            try put(bytes)
            position += UInt64(bytes.count)
            if let layer { observer.moved(layer, position) }
        }
        guard hash.digest() == blob.digest else { throw .store(.damaged(path: path)) }
        try put([UInt8](repeating: 0, count: ArchiveWriter.padding(blob.size)))
        if let layer { observer.finished(layer, true) }
    }
}

extension Descriptor {
    fileprivate var isLayer: Bool {
        if case .layer = MediaType(mediaType) { true } else { false }
    }
}
