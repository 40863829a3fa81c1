// The images of this machine: an OCI layout (image-layout.md) with what several processes need to share it.
//
//   oci-layout, index.json   the layout's own; each name is an entry whose annotation ref.name is canonical (docker.io/library/nginx:1.27)
//   blobs/sha256/HEX         content: complete, verified, never changed
//   ingest/HEX               blobs on their way in, locked while somebody writes them, resumed by whoever comes next
//   disks/                   unpacked layers
//   lock                     held shared by everybody who relies on content, exclusively by who removes some
//   index.lock               held exclusively while index.json is replaced
//
// A file appears under its last name by rename(2), after fsync(2): a process that is killed at any instant leaves a valid store.
import CLinux
import Glibc
import LinuxSystem
public import OCI

public final class ContentStore: Sendable {
    /// As the user knows it.
    public let path: String
    let root: OwnedDescriptor
    private let blobs: OwnedDescriptor
    let lock: OwnedDescriptor

    private init(path: String, root: consuming OwnedDescriptor, blobs: consuming OwnedDescriptor, lock: consuming OwnedDescriptor) {
        self.path = path
        self.root = root
        self.blobs = blobs
        self.lock = lock
    }

    /// Opens the store in `directory`, making what is missing. Its content stays as long as this value lives: removers wait for it.
    public static func open(_ directory: [UInt8]) throws(StoreError) -> ContentStore {
        if let store = try openExisting(directory) { return store }
        try StoreCreation.create(directory)
        guard let store = try openExisting(directory) else { throw .notAStore(path: String(decoding: directory, as: UTF8.self)) }
        return store
    }

    public static func open(_ directory: String) throws(StoreError) -> ContentStore { try open(Array(directory.utf8)) }

    /// Nil where there is no store yet.
    public static func openExisting(_ directory: [UInt8]) throws(StoreError) -> ContentStore? {
        let path = String(decoding: directory, as: UTF8.self)
        var name = path
        do throws(SystemError) {
            let root = try OwnedDescriptor.open(path: directory, O_RDONLY | O_DIRECTORY)
            name = path + "/lock"
            let lock = try root.open(child: "lock", O_RDONLY | O_NONBLOCK)
            try lock.lock(.shared)
            // Made before the lock: from here on nothing may be missing.
            do throws(SystemError) {
                name = path + "/blobs/sha256"
                let blobs = try root.open(child: "blobs", O_RDONLY | O_DIRECTORY).open(child: "sha256", O_RDONLY | O_DIRECTORY)
                return ContentStore(path: path, root: root, blobs: blobs, lock: lock)
            } catch { throw error.errno == ENOENT ? SystemError(call: error.call, subject: error.subject, errno: ENOTDIR) : error }
        } catch {
            if error.errno == ENOENT { return nil }
            throw .system(path: name, error)
        }
    }

    // MARK: Blobs

    static let blobDirectory = ["blobs", "sha256"]
    static let partialDirectory = ["ingest"]

    /// Where a blob is or will be, from the store's directory.
    static func blobPath(_ digest: Digest) -> String { "blobs/sha256/" + digest.hexadecimal }

    /// A blob of the right size is there.
    func has(_ descriptor: Descriptor) throws(StoreError) -> Bool {
        do throws(SystemError) {
            let status = try blobs.status(ofChild: descriptor.digest.hexadecimal)
            return status?.kind == .regular && status?.size == descriptor.size
        } catch { throw failure(error, Self.blobPath(descriptor.digest)) }
    }

    /// The blob's file, whose bytes were verified when they were stored; nil where it is missing.
    public func open(_ descriptor: Descriptor) throws(StoreError) -> OpenFile? {
        guard let file = try open(descriptor.digest) else { return nil }
        guard file.size == descriptor.size else {
            throw .wrongSize(path: Self.blobPath(descriptor.digest), expected: descriptor.size, found: file.size)
        }
        return file
    }

    /// The same for a blob whose size nobody told.
    func open(_ digest: Digest) throws(StoreError) -> OpenFile? {
        let path = Self.blobPath(digest)
        do throws(SystemError) {
            // O_NONBLOCK: a FIFO in a file's place must not hang the open.
            let opened = try blobs.open(child: digest.hexadecimal, O_RDONLY | O_NONBLOCK)
            let status = try opened.status()
            guard status.kind == .regular else { throw SystemError(call: "open", errno: EISDIR) }
            return OpenFile(owning: opened, size: status.size)
        } catch {
            switch error.errno {
            case ENOENT: return nil
            case ELOOP, EISDIR, ENXIO: throw .wrongKind(path: path)
            default: throw failure(error, path)
            }
        }
    }

    /// A document's bytes, their digest checked once more; nil where it is missing. `what` names it in errors.
    public func document(_ descriptor: Descriptor, what: String) throws(StoreError) -> [UInt8]? {
        guard descriptor.size <= JSONDocument.sizeLimit else { throw .tooLarge(what: what, size: descriptor.size) }
        guard let file = try open(descriptor) else { return nil }
        let bytes: [UInt8]
        do throws(SystemError) {
            bytes = try readAt(file.descriptor.raw, offset: 0, count: Int(file.size))
        } catch { throw failure(error, Self.blobPath(descriptor.digest)) }
        guard bytes.hasDigest(descriptor.digest) else { throw .damaged(path: Self.blobPath(descriptor.digest)) }
        return bytes
    }

    /// Stores a document and describes it.
    @discardableResult
    public func add(_ document: [UInt8], mediaType: String) throws(StoreError) -> Descriptor {
        let descriptor = Descriptor(mediaType: mediaType, digest: Digest(of: document), size: UInt64(document.count))
        guard let ingest = try ingest(descriptor) else { return descriptor }
        if ingest.received > 0 { try ingest.restart() }
        try ingest.append(document.span)
        try ingest.finish()
        return descriptor
    }

    /// Begins, or goes on with, storing a blob. Nil where it is already there.
    ///
    /// Waits while another process, or another thread of this one, writes the same blob: whoever stores an image's layers at once
    /// must take equal layers for one. With `waiting` false it throws `busy` instead.
    public func ingest(_ descriptor: Descriptor, waiting: Bool = true) throws(StoreError) -> Ingest? {
        if try has(descriptor) { return nil }
        while true {
            guard let file = try lockPartial(descriptor.digest, waiting: waiting) else { continue }
            // Somebody may have finished it in between.
            if try !has(descriptor) { return try Ingest(descriptor, file: file, store: self) }
            do throws(SystemError) { try discard(descriptor.digest) } catch { throw failure(error, Self.partialPath(descriptor.digest)) }
            return nil
        }
    }

    /// The locked file of a blob on its way in; nil where it got its last name, or was removed, while we waited.
    private func lockPartial(_ digest: Digest, waiting: Bool) throws(StoreError) -> OwnedDescriptor? {
        let name = digest.hexadecimal
        var isBusy = false
        do throws(SystemError) {
            let directory = try partials()
            let file = try directory.open(child: name, O_RDWR | O_CREAT | O_NONBLOCK, mode: 0o600)
            if waiting { try file.lock(.exclusive) } else { isBusy = try !file.tryLock(.exclusive) }
            if !isBusy {
                let status = try file.status()
                guard status.kind == .regular else { throw SystemError(call: "open", errno: ELOOP) }
                if try directory.status(ofChild: name) == status { return file }
                return nil
            }
        } catch { throw failure(error, Self.partialPath(digest)) }
        throw .busy(digest)
    }

    static func partialPath(_ digest: Digest) -> String { "ingest/" + digest.hexadecimal }

    /// The directory of blobs on their way in.
    func partials() throws(SystemError) -> OwnedDescriptor { try root.open(child: "ingest", O_RDONLY | O_DIRECTORY) }

    /// A file without a name on the store's disk, for what doesn't stay.
    func unnamedFile() throws(StoreError) -> OwnedDescriptor {
        do throws(SystemError) {
            let directory = try partials()
            do throws(SystemError) {
                return try directory.open(child: ".", O_RDWR | CLINUX_O_TMPFILE, mode: 0o600)
            } catch {
                // Not every file system knows O_TMPFILE. Then the name lives for a moment only.
                guard error.errno == EOPNOTSUPP || error.errno == EISDIR else { throw error }
                let name = "unnamed-\(getpid())"
                let file = try directory.open(child: name, O_RDWR | O_CREAT | O_EXCL, mode: 0o600)
                try directory.remove(child: name)
                return file
            }
        } catch { throw failure(error, "ingest") }
    }

    /// Gives a complete file of `ingest` its last name.
    func publish(_ digest: Digest) throws(SystemError) {
        try partials().rename(child: digest.hexadecimal, to: digest.hexadecimal, in: blobs)
        try blobs.synchronize()
    }

    func discard(_ digest: Digest) throws(SystemError) {
        try partials().remove(child: digest.hexadecimal)
    }

    /// `name` is the file's, from the store's directory.
    func failure(_ error: SystemError, _ name: String) -> StoreError {
        switch error.errno {
        case ENOSPC, EDQUOT, EFBIG: .noSpace(path: path)
        default: .system(path: path + "/" + name, error)
        }
    }
}
