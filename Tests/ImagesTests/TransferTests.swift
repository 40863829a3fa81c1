import Foundation
import ImageFixtures
import LinuxSystem
import OCI
import Testing

@testable import Images

/// Runs a program of Debian's, which must succeed.
private func tool(_ arguments: [String], in directory: String) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = arguments
    process.currentDirectoryURL = URL(fileURLWithPath: directory)
    let output = Pipe()
    process.standardOutput = output
    process.standardError = output
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    try #require(process.terminationStatus == 0, "\(arguments.joined(separator: " ")): \(text)")
}

/// Images that umoci made and skopeo copied: none of our code has a part in them, or in reading what we saved.
@Suite struct OtherToolsTests {
    private let directory: TemporaryDirectory
    private let store: ContentStore

    init() throws {
        directory = try TemporaryDirectory()
        store = try ContentStore.open(directory.path + "/store")
        try directory.write("one", "first layer")
        try directory.write("two", [UInt8](repeating: 7, count: 100_000))
        try run("umoci", "init", "--layout", "layout")
        try run("umoci", "new", "--image", "layout:app")
        try run("umoci", "insert", "--rootless", "--image", "layout:app", "one", "/one")
        try run("umoci", "insert", "--rootless", "--image", "layout:app", "two", "/etc/two")
        try run("umoci", "config", "--image", "layout:app", "--config.cmd", "/bin/app", "--author", "somebody")
    }

    private func run(_ arguments: String...) throws { try tool(arguments, in: directory.path) }

    private func skopeo(_ source: String, _ destination: String) throws { try run("skopeo", "--insecure-policy", "copy", "-q", source, destination) }

    private func load(_ name: String) throws -> [LoadedImage] {
        try ImageImport.load(path: Array((directory.path + "/" + name).utf8), into: store)
    }

    private func read(_ name: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: directory.path + "/" + name)) }

    /// As umoci sees it.
    private func configuration() throws -> Digest {
        let image = try ImageReference(Array((directory.path + "/layout:app").utf8)).loadLocal()
        let blobs = try FileManager.default.contentsOfDirectory(atPath: directory.path + "/layout/blobs/sha256")
        for blob in blobs {
            let bytes = [UInt8](try read("layout/blobs/sha256/" + blob))
            guard bytes.count < 5000, let found = try? ImageConfiguration(json: bytes, name: "x"), found == image.configuration else { continue }
            return Digest(of: bytes)
        }
        throw ImageError.empty
    }

    private func save(_ names: [String], as file: String) throws {
        let images = try names.map { text in
            let name = try ImageName(text)
            return SavedImage(names: [name], descriptor: try #require(try store.find(name)))
        }
        let output = try OwnedDescriptor.open(directory.path + "/" + file, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
        try ImageExport.write(images, from: store, to: output.raw)
    }

    @Test(arguments: ["oci-archive", "docker-archive"])
    func archivesOfOthersAreLoaded(transport: String) throws {
        try skopeo("oci:layout:app", transport + ":image.tar:localhost:5000/team/app:v1")
        let name = try ImageName("localhost:5000/team/app:v1")
        #expect(try load("image.tar") == [LoadedImage(names: [name], id: configuration(), tag: nil)])
        let documents = try store.documents(#require(try store.find(name)))
        #expect(documents.details.author == "somebody" && documents.details.diffIDs.count == 2)
        #expect(try ImageReference.load(documents.descriptor, from: store).configuration.process.command == ["/bin/app"])
        // Twice is as good as once.
        let count = store.blobCount
        #expect(try load("image.tar").map(\.names) == [[name]])
        #expect(store.blobCount == count)
        // The store is a layout that others can read.
        try skopeo("oci:store:localhost:5000/team/app:v1", "dir:copy")
        try run("umoci", "ls", "--layout", "store")
    }

    @Test func directoriesAreLoaded() throws {
        #expect(try load("layout") == [LoadedImage(names: [], id: configuration(), tag: "app")])
        #expect(try store.images().map(\.name) == [nil])
        #expect(try store.select(String(configuration().hexadecimal.prefix(12)))?.entries.count == 1)
    }

    @Test func streamsAreLoaded() throws {
        try skopeo("oci:layout:app", "docker-archive:image.tar:app:1")
        let pipe = Pipe()
        let archive = try read("image.tar")
        let writer = Thread {
            pipe.fileHandleForWriting.write(archive)
            try? pipe.fileHandleForWriting.close()
        }
        writer.start()
        let loaded = try ImageImport.load(descriptor: pipe.fileHandleForReading.fileDescriptor, into: store)
        #expect(loaded.map { $0.names.map(\.familiar) } == [["app:1"]])
        #expect(try FileManager.default.contentsOfDirectory(atPath: store.file("ingest")) == [])
    }

    @Test func whatWeSaveOthersRead() throws {
        try skopeo("oci:layout:app", "docker-archive:plain.tar:app:plain")
        try skopeo("oci:layout:app", "oci-archive:gzip.tar:localhost:5000/app:gzip")
        _ = try load("plain.tar")
        _ = try load("gzip.tar")
        try save(["app:plain", "localhost:5000/app:gzip"], as: "saved.tar")
        // As a Docker archive, as an OCI archive, and unpacked as a layout.
        try skopeo("docker-archive:saved.tar:app:plain", "dir:a")
        try skopeo("docker-archive:saved.tar:localhost:5000/app:gzip", "dir:b")
        try skopeo("oci-archive:saved.tar:gzip", "oci:c:x")
        try FileManager.default.createDirectory(atPath: directory.path + "/d", withIntermediateDirectories: false)
        try run("tar", "-xf", "saved.tar", "-C", "d")
        for image in ["c:x", "d:plain", "d:gzip"] {
            let bundle = "bundle-" + image
            try run("umoci", "unpack", "--rootless", "--image", image, bundle)
            #expect(try read(bundle + "/rootfs/one") == Data("first layer".utf8))
            #expect(try read(bundle + "/rootfs/etc/two").count == 100_000)
        }
    }

    @Test func whatWeSaveWeLoad() throws {
        try skopeo("oci:layout:app", "docker-archive:image.tar:app:1")
        _ = try load("image.tar")
        let before = try store.images()
        try save(["app:1"], as: "saved.tar")
        try save(["app:1"], as: "again.tar")
        #expect(try read("saved.tar") == read("again.tar"))
        let other = try ContentStore.open(directory.path + "/other")
        _ = try ImageImport.load(path: Array((directory.path + "/saved.tar").utf8), into: other)
        #expect(try other.images() == before)
        #expect(other.blobCount == store.blobCount)
    }

    @Test func aLostBlobIsNotSaved() throws {
        try skopeo("oci:layout:app", "docker-archive:image.tar:app:1")
        _ = try load("image.tar")
        let layer = try store.documents(#require(try store.find(ImageName("app:1")))).manifest.layers[1]
        let path = store.file("blobs/sha256/" + layer.digest.hexadecimal)
        try Data(count: Int(layer.size)).write(to: URL(fileURLWithPath: path))
        #expect(throws: ExportError.store(.damaged(path: "blobs/sha256/" + layer.digest.hexadecimal))) { try save(["app:1"], as: "saved.tar") }
    }
}

@Suite struct LoadTests {
    private let directory: TemporaryDirectory
    private let store: ContentStore
    private let layers: [[UInt8]] = [Array("plain tar, to the eye".utf8), [0x1F, 0x8B, 8, 0, 1], [0x28, 0xB5, 0x2F, 0xFD, 1]]

    init() throws {
        directory = try TemporaryDirectory()
        store = try ContentStore.open(directory.path + "/store")
    }

    private func load(_ path: String) throws -> [LoadedImage] { try ImageImport.load(path: Array(path.utf8), into: store) }

    private func loadLayout(_ files: [String: [UInt8]]) throws -> [LoadedImage] { try load(TestImage.write(files, to: directory)) }

    /// A whole archive as `docker save` wrote it before it knew of digests.
    private func archive(tags: [String] = ["old:1", "old:2"], diffIDs: [[UInt8]]? = nil) throws -> String {
        let identifiers = (diffIDs ?? layers).map { "\"\(digestText($0))\"" }.joined(separator: ",")
        let configuration = Array(#"{"architecture":"amd64","os":"linux","rootfs":{"diff_ids":[\#(identifiers)]}}"#.utf8)
        var tar = TarWriter()
        for (name, layer) in zip(["a", "b", "c"], layers) { tar.file(name + "/layer.tar", layer) }
        tar.file("config.json", configuration)
        let tagList = tags.map { "\"\($0)\"" }.joined(separator: ",")
        tar.file("manifest.json", #"[{"Config":"config.json","RepoTags":[\#(tagList)],"Layers":["a/layer.tar","b/layer.tar","c/layer.tar"]}]"#)
        tar.end()
        return try directory.write("old.tar", tar.bytes)
    }

    @Test func oldArchivesGetManifests() throws {
        let loaded = try load(archive())
        #expect(loaded.map { $0.names.map(\.familiar) } == [["old:1", "old:2"]])
        let descriptor = try #require(try store.find(ImageName("old:2")))
        let documents = try store.documents(descriptor)
        #expect(documents.manifest.layers.map(\.mediaType) == ["tar", "tar+gzip", "tar+zstd"].map { "application/vnd.oci.image.layer.v1." + $0 })
        // Compressed layers stay as they are.
        #expect(try documents.manifest.layers.map { try store.get($0) } == layers)
        #expect(try ImageReference.load(descriptor, from: store).layers.count == 3)
        try tool(["skopeo", "inspect", "oci:store:docker.io/library/old:1"], in: directory.path)
    }

    @Test func aPlainLayerMustBeWhatItsConfigurationSays() throws {
        let path = try archive(diffIDs: [[9], layers[1], layers[2]])
        #expect(failure { _ = try load(path) }.hasPrefix("layer 1 of 3 does not match its digest \(digestText([9]))"))
        #expect(try store.images() == [])
    }

    @Test func namesThatAreNone() throws {
        let path = try archive(tags: ["Not/A Name"])
        #expect(failure { _ = try load(path) }.hasPrefix("\"Not/A Name\" is no image name: "))
        #expect(try store.images() == [])
    }

    @Test(
        arguments: [
            ("localhost:5000/a:1", "localhost:5000/a:1"), ("busybox:1", "busybox:1"), ("a/b", "a/b:latest"), ("1.27", nil), ("app", nil), (nil, nil),
        ] as [(String?, String?)])
    func namesInLayouts(annotation: String?, name: String?) throws {
        var image = TestImage()
        image.name = annotation
        let loaded = try loadLayout(image.files)
        #expect(loaded.map { $0.names.map(\.familiar) } == [name.map { [$0] } ?? []])
        #expect(loaded[0].tag == (name == nil ? annotation : nil))
        #expect(try store.images().map { $0.name?.familiar } == [name])
    }

    /// Docker lists an image once for each tag and gives the whole name in an annotation of its own.
    @Test func dockersAnnotation() throws {
        var files = TestImage().files
        let entries = ["docker.io/library/a:1", "docker.io/library/a:2"].map {
            descriptor(
                Array(TestImage().manifest.utf8), TestImage().manifestType,
                #", "annotations": {"io.containerd.image.name": "\#($0)", "org.opencontainers.image.ref.name": "1"}"#)
        }
        files["index.json"] = Array(TestImage.index(entries).utf8)
        #expect(try loadLayout(files).map { $0.names.map(\.familiar) } == [["a:1", "a:2"]])
    }

    @Test func platformsThatArePresentAreLoaded() throws {
        let (image, missing) = (TestImage(), descriptor([7], TestImage().manifestType, #", "platform": {"os": "linux", "architecture": "s390x"}"#))
        let nested = Array(TestImage.index([missing, image.entry(platform: "linux/amd64")]).utf8)
        var files = image.files
        files[TestImage.blobPath(nested)] = nested
        let annotations = #", "annotations": {"org.opencontainers.image.ref.name": "a:1"}"#
        files["index.json"] = Array(TestImage.index([descriptor(nested, "application/vnd.oci.image.index.v1+json", annotations)]).utf8)
        #expect(try loadLayout(files).map { $0.names.map(\.familiar) } == [["a:1"]])
        #expect(try store.find(ImageName("a:1"))?.digest == Digest(of: nested))
        // Saved again, the archive holds the manifest that is there, and no index that lacks some.
        let output = try OwnedDescriptor.open(directory.path + "/saved.tar", O_WRONLY | O_CREAT, mode: 0o600)
        let saved = SavedImage(names: [try ImageName("a:1")], descriptor: try #require(try store.find(ImageName("a:1"))))
        try ImageExport.write([saved], from: store, to: output.raw)
        let other = try ContentStore.open(directory.path + "/other")
        _ = try ImageImport.load(path: Array((directory.path + "/saved.tar").utf8), into: other)
        #expect(try other.find(ImageName("a:1"))?.digest == Digest(of: Array(image.manifest.utf8)))
    }

    @Test(arguments: [0, 1, 2], ["changed", "shorter", "missing"])
    func damagedBlobsAreNotStored(which: Int, how: String) throws {
        let image = TestImage()
        let blob = [image.layers[1].bytes, Array(image.configuration.utf8), Array(image.manifest.utf8)][which]
        let path = TestImage.blobPath(blob)
        var files = image.files
        let expected: String
        switch how {
        case "changed":
            files[path]?[3] ^= 1
            expected = "does not match its digest \(digestText(blob))"
        case "shorter":
            files[path]?.removeLast()
            expected = "has \(blob.count - 1) bytes instead of \(blob.count)"
        default:
            files[path] = nil
            expected = "is missing (\(path))"
        }
        #expect(failure { _ = try loadLayout(files) }.contains(expected))
        #expect(!store.exists(path))
        #expect(try store.images() == [])
    }

    /// What another source began wrongly doesn't stand in the way of a right one.
    @Test func aWrongBeginningIsReplaced() throws {
        let layer = TestImage().layers[0].bytes
        try #require(try store.ingest(octets(layer))).append([1, 2, 3].span)
        _ = try loadLayout(TestImage().files)
        #expect(try store.get(octets(layer)) == layer)
    }

    @Test func whatIsNoImageIsRefused() throws {
        var image = TestImage()
        image.configurationType = "application/vnd.cncf.helm.config.v1+json"
        #expect(failure { _ = try loadLayout(image.files) }.hasPrefix("its configuration has the unknown media type"))
        image = TestImage()
        image.manifestType = "application/x"
        #expect(failure { _ = try loadLayout(image.files) }.hasPrefix("its manifest has the unknown media type \"application/x\""))
        image = TestImage()
        image.diffIDs = []
        #expect(failure { _ = try loadLayout(image.files) }.hasPrefix("its manifest has 2 layers, but its configuration 0 diff_ids"))
        var files = TestImage().files
        files["index.json"] = Array(TestImage.index([]).utf8)
        #expect(failure { _ = try loadLayout(files) } == "it holds no image")
        #expect(try store.images() == [])
    }

    @Test func nestingIsBounded() throws {
        var files = TestImage().files
        var document = Array(TestImage.index([TestImage().entry()]).utf8)
        for _ in 0..<6 {
            files[TestImage.blobPath(document)] = document
            document = Array(TestImage.index([descriptor(document, "application/vnd.oci.image.index.v1+json")]).utf8)
        }
        files["index.json"] = document
        #expect(failure { _ = try loadLayout(files) } == "its indexes are nested too deeply")
    }

    /// Whatever single bytes of headers and documents say: images that are whole, or a sentence.
    @Test func spoiltArchivesAreSurvived() throws {
        let path = try archive()
        let sound = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
        var state: UInt64 = 11
        for _ in 0..<300 {
            var bytes = sound
            for _ in 0..<3 {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                bytes[Int(state >> 33) % bytes.count] = UInt8(truncatingIfNeeded: state >> 20)
            }
            try Data(bytes.prefix(Int(state >> 40) % (bytes.count * 2))).write(to: URL(fileURLWithPath: path))
            guard let loaded = try? load(path) else { continue }
            for image in loaded { #expect(try store.select(image.id.hexadecimal)?.entries.isEmpty == false) }
        }
        for image in try store.images() { #expect(try store.documents(image.descriptor).manifest.layers.allSatisfy { try store.has($0) }) }
        #expect(try store.collect(partials: true) != nil)
    }
}
