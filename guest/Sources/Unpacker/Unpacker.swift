// A layer into a tree: device → verify → decompress → parse → write, one pass, in this process.
public import AgentProtocol
internal import Archive
internal import CGuest
public import FirstProcess
public import GuestSystem
internal import Wire

public enum Unpacker {
    /// Unpacks `layer` from `device` into the root directory of this process, which must be the disk's (chroot(2)), with no umask.
    public static func unpack(_ layer: LayerSpec, from device: Int32) throws(Failure) {
        let stream = try LayerStream(device: device, layer: layer)
        var parser = ArchiveParser()
        var writer = TreeWriter(layer)
        var chunk = [UInt8](repeating: 0, count: stream.chunkLength)
        var isFilling = false
        while true {
            let count = try stream.next(into: &chunk)
            if count == 0 { break }
            var index = 0
            while index < count {
                if isFilling {
                    let end = index + Int(min(parser.dataRemaining, UInt64(count - index)))
                    try writer.write(chunk, index..<end)
                    parser.consumeData(end - index)
                    index = end
                    if parser.dataRemaining > 0 { continue }
                    try writer.endFile()
                    isFilling = false
                    continue
                }
                let step: (event: ArchiveParser.Event, consumed: Int)
                do { step = try parser.feed(chunk.span.extracting(first: count), from: index) } catch { throw failure(error, layer) }
                index += step.consumed
                switch step.event {
                case .needsMore: break
                case .end: index = count
                case .entry(let entry):
                    try writer.begin(entry)
                    isFilling = parser.dataRemaining > 0
                    if !isFilling { try writer.endFile() }
                }
            }
        }
        do { try parser.finish() } catch { throw failure(error, layer) }
        writer.finish()
    }

    private static func failure(_ error: ArchiveError, _ layer: LayerSpec) -> Failure {
        Failure(.image, "\(name: layer.name.bytes) \(error.explanation); fetch or build the image again")
    }

    /// Writes a file of the runtime's own, whatever the image has in its place. The same conditions as for `unpack`.
    public static func inject(_ file: InjectedFile) throws(Failure) {
        guard let path = EntryPath(file.path.bytes), !path.isRoot else {
            throw Failure(.agent, "'\(name: file.path.bytes)' is no path for a file in the root file system")
        }
        let target = CPath(path.bytes)
        do throws(SystemError) {
            try makeDirectories(path.parent.bytes)
            // Never written through: a symbolic or hard link would change another file.
            do { try FileSystem.remove(target) } catch { if error != .notFound { throw error } }
            let descriptor = try OwnedDescriptor.open(target, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: file.mode & 0o7777)
            try InputOutput.writeAll(descriptor.raw, file.contents)
        } catch {
            throw Failure(
                error == .noSpace ? .storageFull : .image, "'\(name: file.path.bytes)' can't be written into the root file system: \(error)")
        }
    }

    /// mkdir -p: every missing directory with mode 0755, through whatever links are there.
    public static func makeDirectories(_ path: [UInt8]) throws(SystemError) {
        var prefix: [UInt8] = []
        for component in fields(of: path[...], separatedBy: 0x2F) where !component.isEmpty {
            prefix += [0x2F] + component
            do { try FileSystem.makeDirectory(CPath(prefix), mode: 0o755) } catch { if error != .exists { throw error } }
        }
    }
}
