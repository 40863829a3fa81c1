// What a user may call an image: a local one with skopeo's transports (containers-transports(5)): oci:DIR[:NAME], oci-archive:FILE[:NAME],
// docker-archive:FILE[:NAME]; a path that is an image; or a name in the store.
import Archive
import CLinux
import Glibc
import LinuxSystem
public import OCI

/// Which of the images in one place.
enum ImageSelector: Equatable {
    /// There is only one.
    case only
    case name(String)
    /// `@N`, counted from 0.
    case number(Int)

    fileprivate init(_ text: ArraySlice<UInt8>?) throws(ImageError) {
        guard let text, !text.isEmpty else {
            self = .only
            return
        }
        let string = String(decoding: text, as: UTF8.self)
        guard text.first == UInt8(ascii: "@") else {
            self = .name(string)
            return
        }
        guard let number = Int(string.dropFirst()), number >= 0 else { throw .invalidSelector(string) }
        self = .number(number)
    }
}

/// Where an image was found.
public enum ImageResolution: Sendable {
    case found(Image)
    /// A registry may have it.
    case notStored(ImageName)
}

/// What the user calls an image.
public struct ImageReference: Equatable, Sendable {
    /// As many as one block device of the guest can list.
    public static let layerLimit = 4096

    private enum Transport: Equatable { case layout, layoutArchive, dockerArchive }

    private static let colon = UInt8(ascii: ":")
    /// Of skopeo and buildah: named so that the error can say more than "no such file".
    private static let otherTransports = [
        "docker", "docker-daemon", "containers-storage", "dir", "sif", "ostree", "tarball", "atomic", "registry", "http", "https",
    ]

    private let transport: Transport?
    /// What follows the transport.
    private let rest: [UInt8]

    /// Understands the transport; touches no file. `text` holds no NUL.
    public init(_ text: [UInt8]) throws(ImageError) {
        let prefix = text.prefix { $0 != Self.colon }
        let remainder = Array(text.dropFirst(prefix.count + 1))
        switch (String(decoding: prefix, as: UTF8.self), prefix.count < text.count) {
        case ("oci", true): (transport, rest) = (.layout, remainder)
        case ("oci-archive", true): (transport, rest) = (.layoutArchive, remainder)
        case ("docker-archive", true): (transport, rest) = (.dockerArchive, remainder)
        case (let name, true) where Self.otherTransports.contains(name): throw .unsupportedTransport(name)
        default: (transport, rest) = (nil, text)
        }
        if rest.isEmpty { throw .emptyReference }
    }

    /// Opens the image: reads and verifies its index, manifest and configuration, and finds its layers. The store is opened only where it is needed;
    /// without one nothing is stored.
    public func load(openStore: () throws(StoreError) -> ContentStore?) throws(ImageError) -> ImageResolution {
        guard transport == nil else { return .found(try loadLocal()) }
        let text = String(decoding: rest, as: UTF8.self)
        do throws(ImageError) {
            return .found(try loadLocal())
        } catch {
            // A path that exists and is no image doesn't hide a name. `./NAME` and `/NAME` are none.
            guard error.isAboutPath else { throw error }
            if let (entry, store) = try Self.find(text, openStore) { return .found(try Self.load(entry, from: store)) }
            do throws(OCIError) { return .notStored(try ImageName(text)) } catch let problem {
                if case .noSuchPath = error { throw .neitherPathNorName(problem) }
                throw error
            }
        }
    }

    private static func find(
        _ text: String, _ openStore: () throws(StoreError) -> ContentStore?
    ) throws(ImageError) -> (entry: Descriptor, store: ContentStore)? {
        do throws(StoreError) {
            guard let store = try openStore(), let entry = try store.select(text)?.entries.first else { return nil }
            return (entry.descriptor, store)
        } catch { throw .store(error) }
    }

    /// An image of the store.
    public static func load(_ entry: Descriptor, from store: ContentStore) throws(ImageError) -> Image {
        try LayoutImage(StoreFiles(store: store)).load(entry)
    }

    /// The image that a path names, with or without a transport.
    public func loadLocal() throws(ImageError) -> Image {
        let (path, selectorText) = try pathAndSelector()
        let selector = try ImageSelector(selectorText)
        switch try LocalImage(path: path, expected: transport.map { $0 == .layout ? .directory : .archive }) {
        case .layout(let directory): return try LayoutImage(directory).load(selector)
        case .archive(let index, let hasLayout, let hasManifest):
            switch transport {
            // Archives of newer Docker versions are both; the layout names every blob by its digest.
            case .layoutArchive where hasLayout, nil where hasLayout: return try LayoutImage(index).load(selector)
            case .dockerArchive where hasManifest, nil where hasManifest: return try DockerArchive(index).load(selector)
            default: throw .notAnImage(path: String(decoding: path, as: UTF8.self))
            }
        }
    }

    /// Everything up to the first colon is the path; without a transport, a path that exists as a whole is one too.
    private func pathAndSelector() throws(ImageError) -> (path: [UInt8], selector: ArraySlice<UInt8>?) {
        guard let end = rest.firstIndex(of: Self.colon) else { return (rest, nil) }
        if transport == nil, (try? OwnedDescriptor.open(path: rest, CLINUX_O_PATH)) != nil { return (rest, nil) }
        if end == 0 { throw .emptyReference }
        return (Array(rest[..<end]), rest[(end + 1)...])
    }
}

/// A directory or a file that holds images.
enum LocalImage {
    case layout(LayoutDirectory)
    case archive(ArchiveIndex, hasLayout: Bool, hasManifest: Bool)

    enum Kind { case directory, archive }

    /// `expected` is nil where either will do.
    init(path: [UInt8], expected: Kind? = nil) throws(ImageError) {
        let name = String(decoding: path, as: UTF8.self)
        let opened: OwnedDescriptor
        do throws(SystemError) {
            opened = try OwnedDescriptor.open(path: path, O_RDONLY | O_NONBLOCK)
        } catch {
            guard error.errno == ENOENT || error.errno == ENOTDIR else { throw .system(error) }
            throw .noSuchPath(name)
        }
        let kind: FileStatus.Kind
        do throws(SystemError) { kind = try opened.status().kind } catch { throw .system(error) }
        if kind == .directory {
            guard expected != .archive else { throw .wrongKind(path: name, expected: "an archive") }
            let directory = LayoutDirectory(opened)
            guard try directory.find("oci-layout", what: "oci-layout") != nil else { throw .notAnImage(path: name) }
            self = .layout(directory)
        } else {
            guard expected != .directory else { throw .wrongKind(path: name, expected: "a directory") }
            self = try LocalImage(archive: OpenFile(opened, path: name), name: name)
        }
    }

    init(archive file: OpenFile, name: String) throws(ImageError) {
        let index = try ArchiveIndex(file)
        let hasLayout = try index.find("index.json", what: "index.json") != nil
        let hasManifest = try index.find("manifest.json", what: "manifest.json") != nil
        guard hasLayout || hasManifest else { throw .notAnImage(path: name) }
        self = .archive(index, hasLayout: hasLayout, hasManifest: hasManifest)
    }
}

extension ImageError {
    /// There is nothing at the path, or nothing that tries to be an image: the word may be a name.
    fileprivate var isAboutPath: Bool {
        switch self {
        case .noSuchPath, .notAnImage, .wrongKind: true
        case .damagedArchive(let explanation): explanation == "\(ArchiveError.checksum.explanation)"
        case .system(let error): error.errno == ENAMETOOLONG
        default: false
        }
    }
}
