// Puts a layer's members into the root file system (OCI image specification, "Image Layer Filesystem Changeset").
//
// Runs with the container's root as its own root directory: whatever symbolic links an image plants, the kernel resolves them inside.
internal import AgentProtocol
internal import Archive
internal import CGuest
internal import FirstProcess
internal import GuestSystem
internal import Wire

struct TreeWriter: ~Copyable {
    /// A directory's times are set when nothing more will be put into it.
    private struct DirectoryTime {
        let path: CPath
        let time: ArchiveTime
    }

    private let layer: LayerSpec
    /// What this layer has brought, which its own whiteouts leave alone.
    private var written = WrittenPaths()
    private var directoryTimes: [DirectoryTime] = []
    private var file: OpenFile?

    /// The regular file that is being filled.
    private final class OpenFile {
        let descriptor: OwnedDescriptor
        let entry: ArchiveEntry
        var segment = 0
        var segmentDone: UInt64 = 0

        init(_ descriptor: consuming OwnedDescriptor, _ entry: ArchiveEntry) {
            self.descriptor = descriptor
            self.entry = entry
        }
    }

    init(_ layer: LayerSpec) { self.layer = layer }

    /// Makes the member. A regular file then waits for its bytes (`write`) and `endFile`.
    mutating func begin(_ entry: ArchiveEntry) throws(Failure) {
        guard let path = EntryPath(entry.path) else { throw escape(entry.path) }
        let prefix: StaticString = ".wh."
        if path.name.starts(with: Array(prefix)) { return try whiteOut(path) }
        do throws(SystemError) {
            try make(entry, path)
        } catch { throw failure(error, entry.path) }
        if !layer.isLowest { written.insert(path.bytes) }
    }

    // MARK: Members

    private mutating func make(_ entry: ArchiveEntry, _ path: EntryPath) throws(SystemError) {
        let target = CPath(path.bytes)
        if path.isRoot {
            guard entry.kind == .directory else { throw .isDirectory }
            return try makeDirectory(entry, path, target)
        }
        switch entry.kind {
        case .file:
            try create(entry, path, target)
        case .directory: try makeDirectory(entry, path, target)
        case .hardLink: try makeHardLink(entry, path, target)
        case .symbolicLink, .characterDevice, .blockDevice, .fifo:
            try create(entry, path, target)
            try FileSystem.changeOwner(target, user: entry.userID, group: entry.groupID)
            if entry.kind != .symbolicLink { try FileSystem.changeMode(target, entry.mode) }
            try setAttributes(entry, target)
            try FileSystem.setTime(target, seconds: entry.modified.seconds, nanoseconds: entry.modified.nanoseconds)
        }
    }

    /// The member's name, as the call for its kind makes it; a file stays open.
    private mutating func createOnce(_ entry: ArchiveEntry, _ target: CPath) throws(SystemError) {
        let mode = entry.mode & 0o777
        let type: UInt32
        switch entry.kind {
        case .file:
            file = OpenFile(try OwnedDescriptor.open(target, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: mode), entry)
            return
        case .directory: return try FileSystem.makeDirectory(target, mode: mode)
        case .symbolicLink: return try FileSystem.makeSymbolicLink(target, to: CPath(entry.linkTarget))
        case .hardLink: return try FileSystem.makeHardLink(target, to: CPath(EntryPath(entry.linkTarget)?.bytes ?? []))
        case .characterDevice: type = FileType.characterDevice
        case .blockDevice: type = FileType.blockDevice
        case .fifo: type = FileType.fifo
        }
        try FileSystem.makeNode(target, mode: type | mode, major: entry.deviceMajor, minor: entry.deviceMinor)
    }

    private mutating func makeDirectory(_ entry: ArchiveEntry, _ path: EntryPath, _ target: CPath) throws(SystemError) {
        let existing = path.isRoot ? true : (try? FileStatus(of: target, followingLinks: false))?.isDirectory == true
        if !existing { try create(entry, path, target) }
        try FileSystem.changeOwner(target, user: entry.userID, group: entry.groupID)
        try FileSystem.changeMode(target, entry.mode)
        try setAttributes(entry, target)
        directoryTimes.append(DirectoryTime(path: target, time: entry.modified))
    }

    private mutating func makeHardLink(_ entry: ArchiveEntry, _ path: EntryPath, _ target: CPath) throws(SystemError) {
        // Checked by `begin`'s caller for its own path only; a target that climbs out names nothing in the image.
        guard let source = EntryPath(entry.linkTarget) else { throw .notFound }
        if source.bytes == path.bytes { return }
        let sourcePath = CPath(source.bytes)
        // Already the same file, by an upper layer's repetition: removing the name first could remove the target.
        if let new = try? FileStatus(of: target, followingLinks: false) {
            let old = try FileStatus(of: sourcePath, followingLinks: false)
            if new.inode == old.inode && new.device == old.device { return }
        }
        try create(entry, path, target)
    }

    private func setAttributes(_ entry: ArchiveEntry, _ path: CPath) throws(SystemError) {
        for attribute in entry.attributes {
            do { try FileSystem.setAttribute(path, name: CPath(attribute.name), value: attribute.value) } catch {
                // What this file system or this kind of file can't have is left out, as Docker does.
                if error != .notSupported && error != .notPermitted && error != .invalid { throw error }
            }
        }
    }

    /// Where something is in the way, or the parents are missing, sees to that and tries again.
    private mutating func create(_ entry: ArchiveEntry, _ path: EntryPath, _ target: CPath) throws(SystemError) {
        do { return try createOnce(entry, target) } catch {
            switch error {
            case .exists, .isDirectory: try Tree.remove(target)
            case .notFound: try makeParents(path)
            default: throw error
            }
        }
        try createOnce(entry, target)
    }

    private mutating func makeParents(_ path: EntryPath) throws(SystemError) {
        let parent = path.parent
        if parent.isRoot { return }
        do { try FileSystem.makeDirectory(CPath(parent.bytes), mode: 0o755) } catch {
            switch error {
            case .exists: return
            case .notFound:
                try makeParents(parent)
                try FileSystem.makeDirectory(CPath(parent.bytes), mode: 0o755)
            default: throw error
            }
        }
        if !layer.isLowest { written.insert(parent.bytes) }
    }

    // MARK: Contents

    /// The next bytes of the file that `begin` opened, in the archive's order.
    mutating func write(_ bytes: [UInt8], _ range: Range<Int>) throws(Failure) {
        guard let open = file else { return }
        var done = range.lowerBound
        do throws(SystemError) {
            while done < range.upperBound {
                var end = range.upperBound
                if let segments = open.entry.segments {
                    while open.segmentDone == segments[open.segment].length {
                        open.segment += 1
                        open.segmentDone = 0
                    }
                    let segment = segments[open.segment]
                    if open.segmentDone == 0 { try FileSystem.seek(open.descriptor.raw, to: segment.offset) }
                    end = min(end, done + Int(min(segment.length - open.segmentDone, UInt64(Int32.max))))
                }
                let count = try InputOutput.write(open.descriptor.raw, bytes, done..<end)
                done += count
                open.segmentDone += UInt64(count)
            }
        } catch { throw failure(error, open.entry.path) }
    }

    /// All bytes of the file are there: sets what writing would change.
    mutating func endFile() throws(Failure) {
        guard let open = file else { return }
        file = nil
        let entry = open.entry
        let descriptor = open.descriptor.raw
        do throws(SystemError) {
            // Owner before mode, because chown(2) clears set-id bits; both before attributes, because it clears file capabilities too; time last.
            if entry.segments != nil { try FileSystem.truncate(descriptor, to: entry.size) }
            try FileSystem.changeOwner(descriptor, user: entry.userID, group: entry.groupID)
            if entry.mode & 0o7000 != 0 { try FileSystem.changeMode(descriptor, entry.mode) }
            if !entry.attributes.isEmpty, let path = EntryPath(entry.path) { try setAttributes(entry, CPath(path.bytes)) }
            try FileSystem.setTime(descriptor, seconds: entry.modified.seconds, nanoseconds: entry.modified.nanoseconds)
        } catch { throw failure(error, entry.path) }
    }

    /// The layer is complete.
    mutating func finish() {
        for directory in directoryTimes {
            // It may have become something else since, in the same layer.
            if (try? FileStatus(of: directory.path, followingLinks: false))?.isDirectory != true { continue }
            try? FileSystem.setTime(directory.path, seconds: directory.time.seconds, nanoseconds: directory.time.nanoseconds)
        }
        directoryTimes = []
    }

    // MARK: Whiteouts

    private mutating func whiteOut(_ path: EntryPath) throws(Failure) {
        // The lowest layer finds an empty tree.
        if layer.isLowest { return }
        let opaque: StaticString = ".wh..wh..opq"
        let bookkeeping: StaticString = ".wh..wh."
        do throws(SystemError) {
            if path.name.elementsEqual(Array(opaque)) { return try clear(path.parent) }
            // AUFS kept its own files under such names; they stand for nothing.
            if path.name.starts(with: Array(bookkeeping)) { return }
            let hidden = path.name.dropFirst(4)
            if hidden.isEmpty || hidden.elementsEqual([0x2E]) || hidden.elementsEqual([0x2E, 0x2E]) { throw .invalid }
            let target = path.sibling(hidden)
            if written.contains(target.bytes) { return }
            try Tree.remove(CPath(target.bytes))
        } catch {
            // Nothing there to hide.
            if error == .notFound || error == .notDirectory { return }
            throw failure(error, path.bytes)
        }
    }

    /// Removes what lower layers left in a directory.
    private mutating func clear(_ directory: EntryPath) throws(SystemError) {
        for name in try FileSystem.names(in: CPath(directory.bytes)) {
            let child = directory.child(name)
            let path = CPath(child.bytes)
            guard written.contains(child.bytes) else {
                try Tree.remove(path)
                continue
            }
            if try FileStatus(of: path, followingLinks: false).isDirectory { try clear(child) }
        }
    }

    // MARK: Failures

    private func escape(_ path: [UInt8]) -> Failure {
        let layer = layer.name.bytes
        return Failure(
            .image, "\(name: layer) holds '\(name: path)', which climbs out of the root file system; the image must be built again without it")
    }

    private func failure(_ error: SystemError, _ path: [UInt8]) -> Failure {
        let layer = layer.name.bytes
        switch error {
        case .noSpace, .quota: return Failure(.storageFull, "no space left for '\(name: path)' of \(name: layer)")
        case .noMemory: return Failure(.outOfMemory, "the guest's memory is too small for '\(name: path)' of \(name: layer)")
        default: return Failure(.image, "\(name: layer) can't be unpacked: '\(name: path)': \(error)")
        }
    }
}
