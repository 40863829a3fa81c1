// Removing: names first, then the content that no name leads to any more, under the exclusive lock.
import Glibc
import LinuxSystem
public import OCI

/// What removing freed.
public struct Collected: Equatable, Sendable {
    public var blobs: Set<Digest> = []
    /// In bytes, partial blobs and disks included.
    public var bytes: UInt64 = 0
}

/// Everything that some entry of the index leads to.
struct ReachableContent {
    var blobs: Set<Digest> = []
    /// The layers of each image, the lowest first.
    var stacks: [[Digest]] = []
}

extension ContentStore {
    /// Removes blobs that no entry of the index leads to, and partial blobs too where `partials` says so.
    /// `removeDisks` gets the layers of every image that stays, the lowest first, and returns how many bytes it freed.
    ///
    /// Nil, and nothing removed, where somebody else has the store open for `patience` tenths of a second: they may be storing what isn't named yet.
    /// Nothing that this value found before is sure to be there afterwards, and no other thread may use it meanwhile. An image that can't be read
    /// stops it before anything is removed: what it needs is not known.
    public func collect(
        partials: Bool, patience: Int = 0, removeDisks: (_ needed: [[Digest]]) throws(StoreError) -> UInt64 = { _ in 0 }
    ) throws(StoreError) -> Collected? {
        do throws(SystemError) {
            var isAlone = try lock.tryLock(.exclusive)
            // While it waits it has no lock itself: two of these don't wait for each other.
            for _ in 0..<patience where !isAlone {
                usleep(100_000)
                isAlone = try lock.tryLock(.exclusive)
            }
            if !isAlone {
                try lock.lock(.shared)
                return nil
            }
        } catch { throw failure(error, "lock") }
        var outcome: Result<Collected, StoreError>
        do throws(StoreError) { outcome = .success(try collectAlone(partials, removeDisks)) } catch { outcome = .failure(error) }
        do throws(SystemError) { try lock.lock(.shared) } catch { throw failure(error, "lock") }
        return try outcome.get()
    }

    private func collectAlone(
        _ partials: Bool, _ removeDisks: (_ needed: [[Digest]]) throws(StoreError) -> UInt64
    ) throws(StoreError) -> Collected {
        let reachable = try reachableContent()
        var collected = Collected()
        let kept = reachable.blobs
        try sweep(Self.blobDirectory) {
            !kept.contains($0)
        } removed: { digest, size in
            collected.blobs.insert(digest)
            collected.bytes += size
        }
        if partials { try sweep(Self.partialDirectory, where: { _ in true }) { _, size in collected.bytes += size } }
        collected.bytes += try removeDisks(reachable.stacks)
        return collected
    }

    private func sweep(
        _ directory: [String], where isGarbage: (Digest) -> Bool, removed: (Digest, UInt64) -> Void
    ) throws(StoreError) {
        do throws(SystemError) {
            var opened = try root.open(child: directory[0], O_RDONLY | O_DIRECTORY)
            for name in directory.dropFirst() { opened = try opened.open(child: name, O_RDONLY | O_DIRECTORY) }
            for name in try opened.names(limit: Int.max) {
                // What isn't named by a digest isn't ours.
                guard let digest = Digest(hexadecimal: name), isGarbage(digest) else { continue }
                guard let status = try opened.status(ofChild: digest.hexadecimal), status.kind != .directory else { continue }
                if try opened.remove(child: digest.hexadecimal) { removed(digest, status.size) }
            }
        } catch { throw failure(error, directory.joined(separator: "/")) }
    }

    // MARK: What is needed

    func reachableContent() throws(StoreError) -> ReachableContent {
        var reachable = ReachableContent()
        for image in try images() {
            do throws(StoreError) { try mark(image.descriptor, depth: 0, &reachable) } catch {
                let name = image.name?.familiar ?? image.descriptor.digest.description
                throw .unreadable(image: name, reason: error.description)
            }
        }
        return reachable
    }

    private func mark(_ descriptor: Descriptor, depth: Int, _ reachable: inout ReachableContent) throws(StoreError) {
        guard reachable.blobs.insert(descriptor.digest).inserted else { return }
        switch MediaType(descriptor.mediaType) {
        case .index:
            guard depth < 4 else { throw .nestedTooDeep }
            for child in try index(descriptor).manifests {
                // Other platforms' manifests need not be there.
                if try has(child) { try mark(child, depth: depth + 1, &reachable) }
            }
        case .manifest:
            let manifest = try manifest(descriptor)
            reachable.blobs.insert(manifest.configuration.digest)
            for layer in manifest.layers { reachable.blobs.insert(layer.digest) }
            reachable.stacks.append(manifest.layers.map(\.digest))
        default: break
        }
    }
}
