import Foundation
import ImageFixtures
import OCI
import Testing

@testable import Images

private func load(_ reference: String) throws -> Image { try ImageReference(Array(reference.utf8)).loadLocal() }

private func failure(_ reference: String) -> String {
    do {
        // Layers are opened when they are needed.
        for layer in try load(reference).layers { _ = try layer.open() }
        return "no error"
    } catch { return "\(error)" }
}

@Suite struct TransportTests {
    private let directory: TemporaryDirectory
    private let image = TestImage()

    init() throws { directory = try TemporaryDirectory() }

    @Test(arguments: ["oci:", "", "oci:layout:latest", "layout:latest", "oci:@0"])
    func layoutDirectories(form: String) throws {
        let path = try TestImage.write(image.files, to: directory)
        let reference =
            switch form {
            case "oci:layout:latest": "oci:\(path):latest"
            case "layout:latest": "\(path):latest"
            case "oci:@0": "oci:\(path):@0"
            default: form + path
            }
        let loaded = try load(reference)
        #expect(try loaded.layers.map { try $0.open().length } == [13, 8])
        #expect(loaded.layers.map(\.compression) == [.gzip, .gzip])
        #expect(try loaded.layers.map { try $0.open().readPrefix(100) } == image.layers.map(\.bytes))
        #expect(loaded.layers[0].digest?.description == digestText(image.layers[0].bytes))
        #expect(loaded.configuration.process.command == ["/bin/sh"])
    }

    @Test(arguments: ["", "./"], ["oci-archive:", ""])
    func layoutArchives(prefix: String, transport: String) throws {
        let path = try TestImage.archive(image.files, to: directory, prefix: prefix)
        let loaded = try load(transport + path)
        #expect(try loaded.layers.map { try $0.open().readPrefix(100) } == image.layers.map(\.bytes))
        #expect(try loaded.layers[0].open().file === loaded.layers[1].open().file)
    }

    @Test func aPathMayHoldColons() throws {
        let path = try TestImage.write(image.files, to: directory, as: "a:b")
        #expect(try load(path).layers.count == 2)
        #expect(failure("oci:" + path).contains("there is no \(directory.path)/a"))
    }

    @Test func aPathNeedNotBeUTF8() throws {
        let path = try TestImage.archive(image.files, to: directory, as: "x.tar")
        let strange = Array(directory.path.utf8) + [0x2F, 0xFF, 0xFE]
        let moved = (strange + [0]).map { CChar(bitPattern: $0) }
        // SAFETY: both strings are terminated and live during the call.
        #expect(unsafe rename(path, moved) == 0)
        #expect(try ImageReference(strange).loadLocal().layers.count == 2)
    }

    @Test(arguments: [
        ("", "the name is empty"), ("oci:", "the name is empty"), ("docker://busybox", "the transport \"docker\" is not supported"),
        ("busybox:latest", "there is no busybox: check the path"),
        ("oci:/nonexistent", "there is no /nonexistent: check the path"), ("/dev/null", "/dev/null is not a regular file"),
        ("oci:/etc/passwd", "/etc/passwd is not a directory"), ("oci-archive:/etc", "/etc is not an archive"),
        ("/etc", "/etc holds no image"), ("/etc/passwd", "the archive is no tar archive"), ("oci:/tmp:@x", "\"@x\" is no image number"),
    ])
    func wrongNamesAreExplained(reference: String, expected: String) {
        #expect(failure(reference).hasPrefix(expected))
    }

    @Test func compressedArchivesAreNamed() throws {
        let path = try directory.write("a.tar.gz", [0x1F, 0x8B, 8, 0, 0, 0, 0, 0])
        #expect(failure("docker-archive:" + path) == "the archive is compressed: decompress it with 'gunzip' first")
    }
}

@Suite struct LayoutTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func failure(_ files: [String: [UInt8]], selector: String = "") throws -> String {
        ImagesTests.failure("oci:" + (try TestImage.write(files, to: directory)) + selector)
    }

    @Test func missingBlobs() throws {
        let image = TestImage()
        var files = image.files
        let path = TestImage.blobPath(image.layers[1].bytes)
        files[path] = nil
        #expect(try failure(files) == "layer 2 of 2 is missing (\(path)): copy the image again")
    }

    @Test func missingManifest() throws {
        let image = TestImage()
        var files = image.files
        files[TestImage.blobPath(Array(image.manifest.utf8))] = nil
        #expect(try failure(files).hasPrefix("the manifest is missing"))
    }

    @Test func truncatedLayers() throws {
        let image = TestImage()
        var files = image.files
        files[TestImage.blobPath(image.layers[0].bytes)]?.removeLast(3)
        #expect(try failure(files) == "layer 1 of 2 has 10 bytes instead of 13: it is truncated or corrupt, copy the image again")
    }

    @Test(arguments: [0, 1])
    func corruptDocuments(which: Int) throws {
        let image = TestImage()
        var files = image.files
        let document = Array((which == 0 ? image.manifest : image.configuration).utf8)
        files[TestImage.blobPath(document)]?[5] ^= 1
        #expect(try failure(files).contains("does not match its digest \(digestText(document))"))
    }

    @Test func hostileDigestsNeverBecomePaths() throws {
        var files = TestImage().files
        try directory.write("secret", "x")
        let entry = #"{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:../../../secret", "size": 1}"#
        files["index.json"] = Array(TestImage.index([entry]).utf8)
        #expect(try failure(files).contains("\"sha256:../../../secret\" is no digest"))
    }

    @Test func linksOutOfTheLayoutAreRefused() throws {
        let image = TestImage()
        var files = image.files
        let blob = TestImage.blobPath(image.layers[0].bytes)
        files[blob] = nil
        let path = try TestImage.write(files, to: directory)
        let secret = try directory.write("secret", image.layers[0].bytes)
        try FileManager.default.createSymbolicLink(atPath: path + "/" + blob, withDestinationPath: secret)
        #expect(ImagesTests.failure(path).hasPrefix("layer 1 of 2 (\(blob)) is a link that leaves the image's directory"))
    }

    @Test func aFifoInABlobsPlaceDoesNotHang() throws {
        let image = TestImage()
        var files = image.files
        let blob = TestImage.blobPath(image.layers[0].bytes)
        files[blob] = nil
        let path = try TestImage.write(files, to: directory)
        // SAFETY: the string lives during the call.
        #expect(unsafe mkfifo(path + "/" + blob, 0o600) == 0)
        #expect(ImagesTests.failure(path) == "\(blob) is not a regular file")
    }

    @Test func largeDocumentsAreRefusedUnread() throws {
        var files = TestImage().files
        files["index.json"] = [UInt8](repeating: 0x20, count: 4 << 20 | 1)
        #expect(try failure(files) == "index.json has 4194305 bytes; at most 4194304 are allowed")
    }

    @Test func otherArchitectures() throws {
        var image = TestImage()
        image.architecture = "arm64"
        #expect(
            try failure(image.files) == "it is for linux/arm64, but this machine runs linux/amd64: get it for that platform")
    }

    @Test func unknownMediaTypes() throws {
        var image = TestImage(layers: [.init([1], mediaType: "application/vnd.oci.image.layer.v1.tar+lzma")])
        #expect(
            try failure(image.files)
                == "layer 1 of 1 has the unknown media type \"application/vnd.oci.image.layer.v1.tar+lzma\": only OCI and Docker container images can be run"
        )
        image = TestImage()
        image.configurationType = "application/vnd.cncf.helm.config.v1+json"
        #expect(try failure(image.files).hasPrefix("its configuration has the unknown media type"))
    }

    @Test func layersWithoutIdentifiers() throws {
        var image = TestImage()
        image.diffIDs = []
        #expect(try failure(image.files).hasPrefix("its manifest has 2 layers, but its configuration 0 diff_ids"))
    }

    @Test func theDockerMediaTypesAreUnderstood() throws {
        var image = TestImage(layers: [.init([1, 2], mediaType: "application/vnd.docker.image.rootfs.diff.tar")])
        image.configurationType = "application/vnd.docker.container.image.v1+json"
        image.manifestType = "application/vnd.docker.distribution.manifest.v2+json"
        #expect(try load(TestImage.write(image.files, to: directory)).layers[0].compression == .none)
    }

    @Test func anImageMayHaveNoLayers() throws {
        #expect(try load(TestImage.write(TestImage(layers: []).files, to: directory)).layers.isEmpty)
    }
}

@Suite struct SelectionTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    /// Two images that differ in their command, named a and b.
    private func two() -> (TestImage, TestImage) {
        var first = TestImage()
        first.name = "a"
        first.process = #"{"Cmd": ["a"]}"#
        var second = TestImage()
        second.name = "b"
        second.process = #"{"Cmd": ["b"]}"#
        return (first, second)
    }

    private func write(_ images: [TestImage], index: String) throws -> String {
        var files = TestImage().files
        for image in images { files.merge(image.blobs) { $1 } }
        files["index.json"] = Array(index.utf8)
        return try TestImage.write(files, to: directory)
    }

    @Test func byNameAndNumber() throws {
        let (first, second) = two()
        let path = try write([first, second], index: TestImage.index([first.entry(), second.entry()]))
        #expect(try load(path + ":b").configuration.process.command == ["b"])
        #expect(try load("oci:" + path + ":@0").configuration.process.command == ["a"])
        #expect(failure(path) == "it holds several images: append :NAME, one of a, b")
        #expect(failure(path + ":c") == "it holds no image named \"c\": it has a, b")
        #expect(failure(path + ":@2").hasPrefix("it holds no image named \"@2\""))
    }

    @Test func byPlatformInANestedIndex() throws {
        let (first, second) = two()
        let attestation = descriptor(
            [1], "application/vnd.oci.image.manifest.v1+json", #", "platform": {"os": "unknown", "architecture": "unknown"}"#)
        let nested = Array(
            TestImage.index([first.entry(platform: "linux/arm64"), second.entry(platform: "linux/amd64"), attestation]).utf8)
        let path = try write([first, second], index: TestImage.index([descriptor(nested, "application/vnd.oci.image.index.v1+json")]))
        try directory.write("layout/" + TestImage.blobPath(nested), nested)
        #expect(try load(path).configuration.process.command == ["b"])
    }

    @Test func withoutOurPlatform() throws {
        let (first, second) = two()
        let nested = Array(TestImage.index([first.entry(platform: "linux/arm64"), second.entry(platform: "linux/s390x")]).utf8)
        let path = try write([], index: TestImage.index([descriptor(nested, "application/vnd.docker.distribution.manifest.list.v2+json")]))
        try directory.write("layout/" + TestImage.blobPath(nested), nested)
        #expect(failure(path) == "it is for linux/arm64, linux/s390x, but this machine runs linux/amd64: get it for that platform")
    }

    @Test func nestingIsBounded() throws {
        var files = TestImage().files
        var document = Array(TestImage.index([TestImage().entry()]).utf8)
        for _ in 0..<6 {
            files[TestImage.blobPath(document)] = document
            document = Array(TestImage.index([descriptor(document, "application/vnd.oci.image.index.v1+json")]).utf8)
        }
        files["index.json"] = document
        #expect(failure(try TestImage.write(files, to: directory)) == "its indexes are nested too deeply")
    }
}
