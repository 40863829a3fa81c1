// The members of an image's tar archive, found by reading headers only: the layers stay where they are.
import Archive
import OCI

struct ArchiveIndex: ImageFiles {
    /// An image has a few files for each layer; an archive with more than this is something else, such as a root file system.
    static let memberLimit = 65_536
    /// One header, and often the next one or two.
    private static let chunkLength = 2_048
    private static let linkLimit = 8

    private enum Member {
        case file(offset: UInt64, length: UInt64)
        case sparse
        /// The target's path from the archive's root.
        case link(String)
    }

    private let file: OpenFile
    private var members: [String: Member] = [:]

    init(_ file: OpenFile) throws(ImageError) {
        self.file = file
        let whole = FileRange(file: file, offset: 0, length: file.size)
        let compression = Compression(magic: try whole.readPrefix(4))
        if compression != .none { throw .compressedArchive(compression) }
        do throws(ScanError) {
            try scan()
        } catch {
            switch error {
            case .archive(let error): throw .damagedArchive("\(error.explanation)")
            case .image(let error): throw error
            }
        }
    }

    /// So that both kinds of failure can leave one loop.
    private enum ScanError: Error {
        case archive(ArchiveError)
        case image(ImageError)
    }

    private mutating func scan() throws(ScanError) {
        var parser = ArchiveParser()
        var count = 0
        while parser.position < file.size {
            let event: ArchiveParser.Event
            do throws(ImageError) {
                let rest = FileRange(file: file, offset: parser.position, length: file.size - parser.position)
                let bytes = try rest.readPrefix(Self.chunkLength)
                if bytes.isEmpty { break }
                event = try Self.feed(&parser, bytes)
            } catch { throw .image(error) }
            switch event {
            case .needsMore: continue
            case .end: return
            case .entry(let entry):
                count += 1
                if count > Self.memberLimit { throw .image(.tooManyMembers(Self.memberLimit)) }
                add(entry)
                parser.skipData()
            }
        }
        do throws(ArchiveError) {
            // Data that ends before it should leaves the parser beyond the file's end.
            if parser.position > file.size + 511 { throw .truncated }
            try parser.finish()
        } catch { throw .archive(error) }
    }

    private static func feed(_ parser: inout ArchiveParser, _ bytes: [UInt8]) throws(ImageError) -> ArchiveParser.Event {
        do throws(ArchiveError) {
            return try parser.feed(bytes.span).event
        } catch { throw .damagedArchive("\(error.explanation)") }
    }

    private mutating func add(_ entry: ArchiveEntry) {
        guard let path = Self.normalized(entry.path, from: []) else { return }
        switch entry.kind {
        case .file:
            members[path] = entry.segments == nil ? .file(offset: entry.dataOffset, length: entry.storedSize) : .sparse
        case .hardLink:
            if let target = Self.normalized(entry.linkTarget, from: []) { members[path] = .link(target) }
        case .symbolicLink:
            // `docker save` of old linked equal layers: a/layer.tar -> ../b/layer.tar
            let directory = path.utf8.split(separator: 0x2F).dropLast().map { Array($0) }
            if let target = Self.normalized(entry.linkTarget, from: directory) { members[path] = .link(target) }
        case .directory, .characterDevice, .blockDevice, .fifo: break
        }
    }

    /// `path` without `.`, `..` and doubled slashes; nil where it is absolute or climbs out of the archive.
    private static func normalized(_ path: [UInt8], from directory: [[UInt8]]) -> String? {
        if path.first == 0x2F { return nil }
        var components = directory
        for component in path.split(separator: 0x2F) where component != [0x2E] {
            if component == [0x2E, 0x2E] {
                if components.isEmpty { return nil }
                components.removeLast()
            } else {
                components.append(Array(component))
            }
        }
        return String(decoding: Array(components.joined(separator: [0x2F])), as: UTF8.self)
    }

    /// All layers are in the one open file.
    func layer(_ descriptor: Descriptor, what: String) throws(ImageError) -> LayerSource { .found(try blob(descriptor, what: what)) }

    func find(_ path: String, what: String) throws(ImageError) -> FileRange? {
        guard let start = Self.normalized(Array(path.utf8), from: []) else { return nil }
        var current = start
        for _ in 0...Self.linkLimit {
            switch members[current] {
            case nil:
                if current != start { throw .linkLoop(path) }
                return nil
            case .sparse: throw .sparse(what: what)
            case .link(let target): current = target
            case .file(let offset, let length):
                guard offset <= file.size, length <= file.size - offset else {
                    throw .damagedArchive("\(ArchiveError.truncated.explanation)")
                }
                return FileRange(file: file, offset: offset, length: length)
            }
        }
        throw .linkLoop(path)
    }
}
