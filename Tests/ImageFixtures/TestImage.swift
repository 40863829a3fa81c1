// Images made in code, to be spoilt in every way that a test needs.
import CCrypto
import Foundation

/// SHA-256 as `sha256:HEX`.
public func digestText(_ bytes: [UInt8]) -> String {
    var digest = [UInt8](repeating: 0, count: 32)
    precondition(ccrypto_sha256(bytes, bytes.count, &digest) == 1)
    return "sha256:" + digest.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
}

/// An OCI image whose every document can be replaced before it is written.
public struct TestImage {
    public struct Layer {
        public var mediaType: String
        public var bytes: [UInt8]

        public init(_ bytes: [UInt8], mediaType: String = "application/vnd.oci.image.layer.v1.tar+gzip") {
            self.mediaType = mediaType
            self.bytes = bytes
        }
    }

    public var layers: [Layer]
    /// The configuration's `config` object.
    public var process = #"{"Cmd": ["/bin/sh"]}"#
    public var architecture = "amd64"
    public var operatingSystem = "linux"
    public var configurationType = "application/vnd.oci.image.config.v1+json"
    public var manifestType = "application/vnd.oci.image.manifest.v1+json"
    public var diffIDs: [String]?
    public var name: String? = "latest"

    public init(layers: [Layer] = [Layer([0x1F, 0x8B] + Array("first layer".utf8)), Layer([0x1F, 0x8B] + Array("second".utf8))]) {
        self.layers = layers
    }

    public var configuration: String {
        let identifiers = (diffIDs ?? layers.map { digestText($0.bytes + [0]) }).map { "\"\($0)\"" }.joined(separator: ",")
        return """
            {"architecture": "\(architecture)", "os": "\(operatingSystem)", "config": \(process),
             "rootfs": {"type": "layers", "diff_ids": [\(identifiers)]}}
            """
    }

    public var manifest: String {
        let list = layers.map { descriptor($0.bytes, $0.mediaType) }.joined(separator: ",")
        return """
            {"schemaVersion": 2, "mediaType": "\(manifestType)",
             "config": \(descriptor(Array(configuration.utf8), configurationType)), "layers": [\(list)]}
            """
    }

    /// The image's entry in an index.
    public func entry(platform: String? = nil) -> String {
        var extra = name.map { ", \"annotations\": {\"org.opencontainers.image.ref.name\": \"\($0)\"}" } ?? ""
        if let platform {
            let parts = platform.split(separator: "/")
            extra += ", \"platform\": {\"os\": \"\(parts[0])\", \"architecture\": \"\(parts[1])\"}"
        }
        return descriptor(Array(manifest.utf8), manifestType, extra)
    }

    /// Every file of a layout that holds this image, by path.
    public var files: [String: [UInt8]] {
        var files = blobs
        files["oci-layout"] = Array(#"{"imageLayoutVersion": "1.0.0"}"#.utf8)
        files["index.json"] = Array(TestImage.index([entry()]).utf8)
        return files
    }

    public var blobs: [String: [UInt8]] {
        var files: [String: [UInt8]] = [:]
        for blob in layers.map(\.bytes) + [Array(configuration.utf8), Array(manifest.utf8)] { files[TestImage.blobPath(blob)] = blob }
        return files
    }

    public static func index(_ entries: [String]) -> String { "{\"schemaVersion\": 2, \"manifests\": [\(entries.joined(separator: ","))]}" }

    public static func blobPath(_ bytes: [UInt8]) -> String { "blobs/sha256/" + digestText(bytes).dropFirst(7) }

    /// Files as a layout directory; returns its path.
    public static func write(_ files: [String: [UInt8]], to directory: TemporaryDirectory, as name: String = "layout") throws -> String {
        for (path, bytes) in files { try directory.write(name + "/" + path, bytes) }
        return directory.path + "/" + name
    }

    /// Files as an archive; returns its path.
    public static func archive(
        _ files: [String: [UInt8]], to directory: TemporaryDirectory, prefix: String = "", as name: String = "image.tar"
    ) throws -> String {
        var tar = TarWriter()
        for (path, bytes) in files.sorted(by: { $0.key < $1.key }) { tar.file(prefix + path, bytes) }
        tar.end()
        return try directory.write(name, tar.bytes)
    }
}

/// A descriptor of `bytes`, with more JSON fields in `extra`.
public func descriptor(_ bytes: [UInt8], _ mediaType: String, _ extra: String = "") -> String {
    "{\"mediaType\": \"\(mediaType)\", \"digest\": \"\(digestText(bytes))\", \"size\": \(bytes.count)\(extra)}"
}
