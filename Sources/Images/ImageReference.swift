// The names of local images, with skopeo's meaning (containers-transports(5)): oci:DIR[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME].
import CLinux
import Glibc
import LinuxSystem
import OCI

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

    /// Opens the image: reads and verifies its index, manifest and configuration, and finds its layers.
    public func load() throws(ImageError) -> Image {
        let (path, selectorText) = try pathAndSelector()
        let selector = try ImageSelector(selectorText)
        let name = String(decoding: path, as: UTF8.self)
        let opened: OwnedDescriptor
        do throws(SystemError) {
            opened = try OwnedDescriptor.open(path: path, O_RDONLY | O_NONBLOCK)
        } catch {
            guard error.errno == ENOENT || error.errno == ENOTDIR else { throw .system(error) }
            throw transport == nil ? .notLocal(String(decoding: rest, as: UTF8.self)) : .noSuchPath(name)
        }
        let kind: FileStatus.Kind
        do throws(SystemError) { kind = try opened.status().kind } catch { throw .system(error) }

        if kind == .directory {
            guard transport == nil || transport == .layout else { throw .wrongKind(path: name, expected: "an archive") }
            let directory = LayoutDirectory(opened)
            guard try directory.find("oci-layout", what: "oci-layout") != nil else { throw .notAnImage(path: name) }
            return try LayoutImage(directory).load(selector)
        }
        guard transport != .layout else { throw .wrongKind(path: name, expected: "a directory") }
        let index = try ArchiveIndex(OpenFile(opened, path: name))
        // Archives of newer Docker versions are both; the layout names every blob by its digest.
        let hasLayout = try index.find("index.json", what: "index.json") != nil
        let hasManifest = try index.find("manifest.json", what: "manifest.json") != nil
        switch transport {
        case .layoutArchive where hasLayout, nil where hasLayout: return try LayoutImage(index).load(selector)
        case .dockerArchive where hasManifest, nil where hasManifest: return try DockerArchive(index).load(selector)
        default: throw .notAnImage(path: name)
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
