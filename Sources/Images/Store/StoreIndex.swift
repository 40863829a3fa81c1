// The store's names: index.json, read whole and replaced whole.
import Glibc
import LinuxSystem
public import OCI

/// An entry of the store's index.
public struct StoredImage: Equatable, Sendable {
    /// Nil for an image without a name, and for an entry that other tools named in another way.
    public let name: ImageName?
    /// Of a manifest, or of an index of several platforms of which at least one is in the store. Without the name's annotation.
    public let descriptor: Descriptor

    public init(name: ImageName?, descriptor: Descriptor) {
        self.name = name
        self.descriptor = descriptor
    }

    fileprivate init(entry: Descriptor) {
        name = entry.annotations[Descriptor.referenceName].flatMap { try? ImageName($0) }
        // What isn't ours to understand stays as it is.
        descriptor = name == nil ? entry : entry.with(annotations: entry.annotations.filter { $0.key != Descriptor.referenceName })
    }

    fileprivate var entry: Descriptor {
        guard let name else { return descriptor }
        return descriptor.with(annotations: descriptor.annotations.merging([Descriptor.referenceName: name.canonical]) { $1 })
    }

    /// This entry is what `name` means: the same tag, or the same digest (then the tag doesn't matter, as in Docker).
    func isCalled(_ wanted: ImageName) -> Bool {
        guard let name, name.registry == wanted.registry, name.repository == wanted.repository else { return false }
        guard let digest = wanted.digest else { return name.tag == wanted.tag && name.digest == nil }
        return name.digest == digest || descriptor.digest == digest
    }
}

extension ContentStore {
    private static let indexName = "index.json"
    private static let indexLimit = Int(JSONDocument.sizeLimit)

    /// In the order in which they were stored.
    public func images() throws(StoreError) -> [StoredImage] {
        guard let bytes = try readIndex() else { return [] }
        do throws(OCIError) {
            return try ImageIndex(json: bytes, name: Self.indexName).manifests.map { StoredImage(entry: $0) }
        } catch { throw .damagedIndex(path: path + "/" + Self.indexName, error) }
    }

    public func find(_ name: ImageName) throws(StoreError) -> Descriptor? { try entry(of: name)?.descriptor }

    /// The entry that `name` means. Where there is one it is found without making values of all the others.
    func entry(of name: ImageName) throws(StoreError) -> StoredImage? {
        guard let bytes = try readIndex() else { return nil }
        let words = name.digest.map { [(name.with(digest: $0) ?? name).canonical, $0.description] } ?? [name.canonical]
        do throws(OCIError) {
            let entries = try ImageIndex.entries(of: bytes, saying: words, name: Self.indexName) ?? []
            if let found = entries.lazy.map({ StoredImage(entry: $0) }).first(where: { $0.isCalled(name) }) { return found }
        } catch { throw .damagedIndex(path: path + "/" + Self.indexName, error) }
        // Other programs may spell it with escapes, or have damaged the index.
        return try images().first { $0.isCalled(name) }
    }

    /// Gives stored content a name. Another image that had it keeps its entry, nameless, until `prune`.
    public func record(_ name: ImageName, _ descriptor: Descriptor) throws(StoreError) {
        // As in Docker: what is asked for by digest has no tag.
        let stored = name.digest == nil ? name : name.with(digest: name.digest) ?? name
        try requireContent(descriptor)
        try updateIndex { images in
            let new = StoredImage(name: stored, descriptor: descriptor)
            if images.contains(new) { return }
            let old = images.filter { $0.name == stored }.map(\.descriptor)
            images.removeAll { $0.name == stored || ($0.name == nil && $0.descriptor.digest == descriptor.digest) }
            for other in old where !images.contains(where: { $0.descriptor.digest == other.digest }) && other.digest != descriptor.digest {
                images.append(StoredImage(name: nil, descriptor: other))
            }
            images.append(new)
        }
    }

    /// Keeps stored content that has no name.
    public func keep(_ descriptor: Descriptor) throws(StoreError) {
        try requireContent(descriptor)
        try updateIndex { images in
            if !images.contains(where: { $0.descriptor.digest == descriptor.digest }) {
                images.append(StoredImage(name: nil, descriptor: descriptor))
            }
        }
    }

    /// Takes entries out of the index; returns them. Their content stays until it is collected.
    public func forget(_ condition: (StoredImage) -> Bool) throws(StoreError) -> [StoredImage] {
        var forgotten: [StoredImage] = []
        try updateIndex { images in
            forgotten = images.filter(condition)
            images.removeAll(where: condition)
        }
        return forgotten
    }

    private func requireContent(_ descriptor: Descriptor) throws(StoreError) {
        guard try has(descriptor) else { throw .missing(what: "the manifest", descriptor.digest) }
    }

    private func updateIndex(_ change: (inout [StoredImage]) -> Void) throws(StoreError) {
        let lock = try lockIndex()
        let before = try images()
        var after = before
        change(&after)
        if after == before { return }
        let bytes = try indexText(after)
        do throws(SystemError) { try root.replace(child: Self.indexName, with: bytes) } catch { throw failure(error, Self.indexName) }
        lock.unlock()
    }

    private func lockIndex() throws(StoreError) -> OwnedDescriptor {
        let name = "index.lock"
        do throws(SystemError) {
            let lock = try root.open(child: name, O_RDWR | O_CREAT | O_NONBLOCK, mode: 0o600)
            try lock.lock(.exclusive)
            return lock
        } catch { throw failure(error, name) }
    }

    private func indexText(_ images: [StoredImage]) throws(StoreError) -> [UInt8] {
        let index = JSONValue.object(
            ("schemaVersion", .integer(2)), ("mediaType", .string("application/vnd.oci.image.index.v1+json")),
            ("manifests", .array(images.map(\.entry.json))))
        do throws(OCIError) { return try index.text(limit: Self.indexLimit) } catch { throw .indexFull(path: path + "/" + Self.indexName) }
    }

    /// Nil where there is no index, and so no image.
    private func readIndex() throws(StoreError) -> [UInt8]? {
        let whole = path + "/" + Self.indexName
        let bytes: [UInt8]
        do throws(SystemError) {
            let file = try root.open(child: Self.indexName, O_RDONLY | O_NONBLOCK)
            let status = try file.status()
            guard status.kind == .regular else { throw SystemError(call: "open", errno: ELOOP) }
            bytes = try readAll(file.raw, limit: Self.indexLimit + 1)
        } catch {
            if error.errno == ENOENT { return nil }
            throw .system(path: whole, error)
        }
        guard bytes.count <= Self.indexLimit else { throw .tooLarge(what: whole, size: UInt64(bytes.count)) }
        return bytes
    }
}
