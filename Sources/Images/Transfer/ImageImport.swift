// `load`: the images of a layout or an archive are copied into the store, every blob verified on its way.
import Glibc
import LinuxSystem
public import OCI

/// An image that was stored.
public struct LoadedImage: Equatable, Sendable {
    /// Empty for an image that its archive doesn't name.
    public var names: [ImageName]
    public let id: Digest
    /// What the archive calls it, where that is a bare tag and so no name: layouts have them.
    public let tag: String?
}

public enum ImageImport {
    /// Stores every image of the directory or archive at `path`.
    public static func load(
        path: [UInt8], into store: ContentStore, _ observer: TransferObserver = .none
    ) throws(ImageError) -> [LoadedImage] {
        try load(LocalImage(path: path), BlobImport(store, observer))
    }

    /// Stores every image of an open archive. A stream, which can't be read at any place, is copied beside the store's blobs first.
    public static func load(
        descriptor: Int32, into store: ContentStore, _ observer: TransferObserver = .none
    ) throws(ImageError) -> [LoadedImage] {
        try load(LocalImage(archive: file(descriptor, store), name: "standard input"), BlobImport(store, observer))
    }

    private static func load(_ source: LocalImage, _ blobs: BlobImport) throws(ImageError) -> [LoadedImage] {
        switch source {
        case .layout(let directory): return try LayoutImport(files: directory, blobs: blobs).load()
        // A layout names every blob by its digest.
        case .archive(let index, hasLayout: true, _): return try LayoutImport(files: index, blobs: blobs).load()
        case .archive(let index, _, _): return try DockerArchiveImport(files: index, blobs: blobs).load()
        }
    }

    private static func file(_ descriptor: Int32, _ store: ContentStore) throws(ImageError) -> OpenFile {
        do throws(SystemError) {
            let status = try FileStatus(of: descriptor)
            if status.kind == .regular { return OpenFile(owning: try OwnedDescriptor.duplicate(of: descriptor), size: status.size) }
        } catch { throw .system(error) }
        do throws(StoreError) {
            return try spool(descriptor, store)
        } catch { throw .store(error) }
    }

    private static func spool(_ descriptor: Int32, _ store: ContentStore) throws(StoreError) -> OpenFile {
        let copy = try store.unnamedFile()
        var size: UInt64 = 0
        while true {
            let bytes: [UInt8]
            do throws(SystemError) { bytes = try readAll(descriptor, limit: 1 << 20) } catch { throw .source(error) }
            if bytes.isEmpty { return OpenFile(owning: copy, size: size) }
            do throws(SystemError) { try writeAt(copy.raw, offset: size, bytes) } catch { throw store.failure(error, "ingest") }
            size += UInt64(bytes.count)
        }
    }
}

/// Brings single blobs into the store.
struct BlobImport {
    let store: ContentStore
    let observer: TransferObserver

    init(_ store: ContentStore, _ observer: TransferObserver) {
        self.store = store
        self.observer = observer
    }

    /// `what` names the blob in errors; `layer` is its number among those that the observer was told, if it is one.
    func copy(_ range: FileRange, as descriptor: Descriptor, what: String, layer: Int? = nil) throws(ImageError) {
        guard range.length == descriptor.size else { throw .wrongSize(what: what, expected: descriptor.size, found: range.length) }
        do throws(StoreError) {
            guard let ingest = try store.ingest(descriptor) else {
                if let layer { observer.finished(layer, false) }
                return
            }
            let isResumed = ingest.received > 0
            do throws(StoreError) { try fill(ingest, from: range, layer) } catch {
                // What somebody else began may have been wrong, rather than this.
                guard isResumed, case .wrongDigest = error, let second = try store.ingest(descriptor) else { throw error }
                try fill(second, from: range, layer)
            }
            if let layer { observer.finished(layer, true) }
        } catch {
            switch error {
            case .wrongDigest(let expected, _): throw .wrongDigest(what: what, expected: expected)
            case .incomplete(_, let received, let size): throw .wrongSize(what: what, expected: size, found: received)
            default: throw .store(error)
            }
        }
    }

    private func fill(_ ingest: Ingest, from range: FileRange, _ layer: Int?) throws(StoreError) {
        let done = ingest.received
        try ingest.append(contentsOf: range.file.descriptor.raw, offset: range.offset + done, length: range.length - done) {
            if let layer { observer.moved(layer, $0) }
        }
        try ingest.finish()
    }

    func add(_ document: [UInt8], mediaType: String) throws(ImageError) -> Descriptor {
        do throws(StoreError) { return try store.add(document, mediaType: mediaType) } catch { throw .store(error) }
    }

    /// Names what is complete now, or keeps it without a name.
    func record(_ names: [ImageName], _ descriptor: Descriptor) throws(ImageError) {
        do throws(StoreError) {
            if names.isEmpty { try store.keep(descriptor) }
            for name in names { try store.record(name, descriptor) }
        } catch { throw .store(error) }
    }

    /// The image's ID; fails for what is no container image.
    func identify(_ descriptor: Descriptor) throws(ImageError) -> Digest {
        let documents: ImageDocuments
        do throws(StoreError) { documents = try store.documents(descriptor) } catch { throw .store(error) }
        guard documents.manifest.layers.count == documents.details.diffIDs.count else {
            throw .layerCount(layers: documents.manifest.layers.count, identifiers: documents.details.diffIDs.count)
        }
        return documents.id
    }
}
