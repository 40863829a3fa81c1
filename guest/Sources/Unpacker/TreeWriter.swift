// Puts a layer's members into the root file system (OCI image specification, "Image Layer Filesystem Changeset").
//
// Runs with the container's root as its own root directory: whatever symbolic links an image plants, the kernel resolves them inside.
internal import AgentProtocol
internal import Archive
internal import CGuest
internal import GuestSystem

struct TreeWriter: ~Copyable {
    /// A directory's times are set when nothing more will be put into it.
    private struct DirectoryTime {
        let path: CPath
        let time: ArchiveTime
    }

    private let name: LayerName
    /// The lowest layer finds an empty tree: it has nothing to white out.
    private let isLowest: Bool
    /// What this layer has brought, which its own whiteouts leave alone.
    private var written = WrittenPaths()
    private var directoryTimes: [DirectoryTime] = []
    private var file: OpenFile?

    /// The regular file that is being filled.
    private struct OpenFile {
        let descriptor: Int32
        let entry: ArchiveEntry
        var segment = 0
        var segmentDone: UInt64 = 0
    }

    init(_ name: LayerName, isLowest: Bool) {
        self.name = name
        self.isLowest = isLowest
    }

    deinit { if let file { _ = OwnedDescriptor(owning: file.descriptor) } }

    /// Makes the member. A regular file then waits for its bytes (`write`) and `endFile`.
    mutating func begin(_ entry: ArchiveEntry) throws(Failure) {
        guard let path = EntryPath(entry.path) else { throw escape(entry.path) }
        let prefix: StaticString = ".wh."
        if path.name.starts(with: Array(prefix)) { return try whiteOut(path) }
        do throws(SystemError) {
            try make(entry, path)
        } catch { throw failure(error, entry.path) }
        if !isLowest { written.insert(path.bytes) }
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
            let descriptor = try create(path) { () throws(SystemError) in
                try OwnedDescriptor.open(target, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: entry.mode & 0o777).release()
            }
            file = OpenFile(descriptor: descriptor, entry: entry)
        case .directory: try makeDirectory(entry, path, target)
        case .symbolicLink:
            _ = try create(path) { () throws(SystemError) in
                try FileSystem.makeSymbolicLink(target, to: CPath(entry.linkTarget))
                return 0
            }
            try FileSystem.changeOwner(target, user: entry.userID, group: entry.groupID)
            try finish(entry, target)
        case .hardLink: try makeHardLink(entry, path, target)
        case .characterDevice, .blockDevice, .fifo:
            let type =
                switch entry.kind {
                case .characterDevice: FileType.characterDevice
                case .blockDevice: FileType.blockDevice
                default: FileType.fifo
                }
            _ = try create(path) { () throws(SystemError) in
                try FileSystem.makeNode(target, mode: type | entry.mode & 0o777, major: entry.deviceMajor, minor: entry.deviceMinor)
                return 0
            }
            try FileSystem.changeOwner(target, user: entry.userID, group: entry.groupID)
            try FileSystem.changeMode(target, entry.mode)
            try finish(entry, target)
        }
    }

    private mutating func makeDirectory(_ entry: ArchiveEntry, _ path: EntryPath, _ target: CPath) throws(SystemError) {
        let existing = path.isRoot ? true : (try? FileStatus(of: target, followingLinks: false))?.isDirectory == true
        if !existing {
            _ = try create(path) { () throws(SystemError) in
                try FileSystem.makeDirectory(target, mode: entry.mode & 0o777)
                return 0
            }
        }
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
        _ = try create(path) { () throws(SystemError) in
            try FileSystem.makeHardLink(target, to: sourcePath)
            return 0
        }
    }

    /// Owner before mode, because chown(2) clears set-id bits; both before attributes, because it clears file capabilities too; time last.
    private func finish(_ entry: ArchiveEntry, _ path: CPath) throws(SystemError) {
        try setAttributes(entry, path)
        try FileSystem.setTime(path, seconds: entry.modified.seconds, nanoseconds: entry.modified.nanoseconds)
    }

    private func setAttributes(_ entry: ArchiveEntry, _ path: CPath) throws(SystemError) {
        for attribute in entry.attributes {
            do { try FileSystem.setAttribute(path, name: CPath(attribute.name), value: attribute.value) } catch {
                // What this file system or this kind of file can't have is left out, as Docker does.
                if error != .notSupported && error != .notPermitted && error != .invalid { throw error }
            }
        }
    }

    /// Calls `body`; where something is in the way, or the parents are missing, sees to that and calls it again.
    private mutating func create(_ path: EntryPath, _ body: () throws(SystemError) -> Int32) throws(SystemError) -> Int32 {
        do { return try body() } catch {
            switch error {
            case .exists, .isDirectory: try Tree.remove(CPath(path.bytes))
            case .notFound: try makeParents(path)
            default: throw error
            }
        }
        return try body()
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
        if !isLowest { written.insert(parent.bytes) }
    }

    // MARK: Contents

    /// The next bytes of the file that `begin` opened, in the archive's order.
    mutating func write(_ bytes: [UInt8], _ range: Range<Int>) throws(Failure) {
        guard var open = file else { return }
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
                    if open.segmentDone == 0 { try FileSystem.seek(open.descriptor, to: segment.offset) }
                    end = min(end, done + Int(min(segment.length - open.segmentDone, UInt64(Int32.max))))
                }
                let count = try InputOutput.write(open.descriptor, bytes, done..<end)
                done += count
                open.segmentDone += UInt64(count)
            }
        } catch { throw failure(error, open.entry.path) }
        file = open
    }

    /// All bytes of the file are there: sets what writing would change.
    mutating func endFile() throws(Failure) {
        guard let open = file else { return }
        file = nil
        let descriptor = OwnedDescriptor(owning: open.descriptor)
        let entry = open.entry
        do throws(SystemError) {
            if entry.segments != nil { try FileSystem.truncate(descriptor.raw, to: entry.size) }
            try FileSystem.changeOwner(descriptor.raw, user: entry.userID, group: entry.groupID)
            if entry.mode & 0o7000 != 0 { try FileSystem.changeMode(descriptor.raw, entry.mode) }
            if !entry.attributes.isEmpty, let path = EntryPath(entry.path) { try setAttributes(entry, CPath(path.bytes)) }
            try FileSystem.setTime(descriptor.raw, seconds: entry.modified.seconds, nanoseconds: entry.modified.nanoseconds)
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
        if isLowest { return }
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
    private func clear(_ directory: EntryPath) throws(SystemError) {
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
        Failure(.image, "\(name.text) holds '\(name: path)', which climbs out of the root file system; the image must be built again without it")
    }

    private func failure(_ error: SystemError, _ path: [UInt8]) -> Failure {
        switch error {
        case .noSpace, .quota: Failure(.storageFull, "no space left for '\(name: path)' of \(name.text)")
        case .noMemory: Failure(.outOfMemory, "the guest's memory is too small for '\(name: path)' of \(name.text); use a larger --memory")
        default: Failure(.image, "\(name.text) can't be unpacked: '\(name: path)': \(error)")
        }
    }
}
