import Foundation
import ImageFixtures
import OCI
import Testing

@testable import Images

extension ContentStore {
    /// Stores a fixture's documents and layers and returns its manifest's descriptor.
    func put(_ image: TestImage) throws -> Descriptor {
        for layer in image.layers { _ = try put(layer.bytes) }
        try add(Array(image.configuration.utf8), mediaType: image.configurationType)
        return try add(Array(image.manifest.utf8), mediaType: image.manifestType)
    }

    var blobCount: Int { (try? FileManager.default.contentsOfDirectory(atPath: file("blobs/sha256")).count) ?? -1 }
}

@Suite struct CollectionTests {
    private let directory: TemporaryDirectory
    private let store: ContentStore

    init() throws {
        directory = try TemporaryDirectory()
        store = try ContentStore.open(directory.path + "/store")
    }

    private func forget(_ name: String) throws {
        let name = try ImageName(name)
        #expect(try store.forget { $0.name == name }.count == 1)
    }

    @Test func contentGoesWithTheLastNameThatNeedsIt() throws {
        var other = TestImage(layers: [TestImage().layers[0], .init(Array("only here".utf8))])
        other.process = #"{"Cmd": ["other"]}"#
        try store.record(ImageName("a"), store.put(TestImage()))
        try store.record(ImageName("b"), store.put(other))
        try store.record(ImageName("c"), store.put(other))
        #expect(store.blobCount == 7)
        #expect(try store.collect(partials: false) == Collected())
        try forget("c")
        #expect(try store.collect(partials: false) == Collected())
        try forget("b")
        let collected = try #require(try store.collect(partials: false))
        #expect(collected.blobs.count == 3 && collected.blobs.contains(Digest(of: Array("only here".utf8))))
        #expect(collected.bytes == UInt64(9 + other.configuration.utf8.count + other.manifest.utf8.count))
        #expect(try store.find(ImageName("a")).map { try ImageReference.load($0, from: store).layers.count } == 2)
        try forget("a")
        #expect(try store.collect(partials: false)?.blobs.count == 4)
        #expect(store.blobCount == 0)
    }

    @Test func nothingIsRemovedWhileOthersUseTheStore() throws {
        let descriptor = try store.put([1])
        let other = try ContentStore.open(store.path)
        #expect(try store.collect(partials: true) == nil)
        #expect(try other.open(descriptor) != nil)
        withExtendedLifetime(other) {}
        _ = consume other
        #expect(try store.collect(partials: true)?.blobs == [descriptor.digest])
    }

    @Test func partsAreKeptForTheNextDownloadUntilTheyArePruned() throws {
        let blob = octets([1, 2, 3])
        try #require(try store.ingest(blob)).append([1].span)
        #expect(try store.collect(partials: false) == Collected())
        #expect(try #require(try store.ingest(blob)).received == 1)
        #expect(try store.collect(partials: true) == Collected(blobs: [], bytes: 1))
        #expect(try #require(try store.ingest(blob)).received == 0)
    }

    /// Of several platforms, those that are there.
    @Test func indexesNeedWhatTheyListAndIsThere() throws {
        let image = TestImage()
        _ = try store.put(image)
        let missing = descriptor([7], "application/vnd.oci.image.manifest.v1+json", #", "platform": {"os": "linux", "architecture": "arm64"}"#)
        let index = Array(TestImage.index([missing, image.entry(platform: "linux/amd64")]).utf8)
        try store.record(ImageName("a"), store.add(index, mediaType: "application/vnd.oci.image.index.v1+json"))
        #expect(try store.collect(partials: true) == Collected())
        #expect(try store.find(ImageName("a")).map { try store.documents($0).details.platform.architecture } == "amd64")
        #expect(try store.find(ImageName("a")).map { try ImageReference.load($0, from: store).layers.map(\.isVerified) } == [true, true])
    }

    @Test func whatUnpackedLayersAreNeededIsTold() throws {
        let image = TestImage()
        try store.record(ImageName("a"), store.put(image))
        var told: [[Digest]] = []
        let collected = try store.collect(partials: false) { needed throws(StoreError) in
            told = needed
            return 7
        }
        #expect(collected?.bytes == 7)
        #expect(told == [image.layers.map { Digest(of: $0.bytes) }])
    }

    @Test func chainsAreTheSpecifications() {
        let diffIDs = [Digest(of: [1]), Digest(of: [2])]
        #expect(ChainID.all(diffIDs)[1] == Digest(of: Array("\(diffIDs[0]) \(diffIDs[1])".utf8)))
        #expect(ChainID.all(diffIDs)[0] == diffIDs[0] && ChainID.whole([]) == nil)
    }

    /// What a damaged image needs is not known, so nothing is removed until it is gone itself.
    @Test(arguments: ["missing", "wrong"])
    func aDamagedImageStopsTheRemoval(how: String) throws {
        let damaged = try store.put(TestImage())
        try store.record(ImageName("a"), damaged)
        _ = try store.put([9])
        let path = store.file("blobs/sha256/" + damaged.digest.hexadecimal)
        if how == "missing" {
            try FileManager.default.removeItem(atPath: path)
        } else {
            try Data(count: Int(damaged.size)).write(to: URL(fileURLWithPath: path))
        }
        let count = store.blobCount
        let sentence = failure { _ = try store.collect(partials: true) }
        #expect(sentence.hasPrefix("the image a:latest is damaged: "))
        #expect(sentence.hasSuffix(", or remove it with 'swiftlet rmi a:latest'"))
        #expect(store.blobCount == count)
        // The store is usable afterwards, and what the sentence says helps.
        let other = try ContentStore.open(store.path)
        #expect(try other.images().count == 1)
        _ = consume other
        try forget("a")
        #expect(try store.collect(partials: true)?.blobs.count == count)
    }

    @Test func strangersFilesAreLeftAlone() throws {
        try directory.write("store/blobs/sha256/README", "x")
        try FileManager.default.createDirectory(
            atPath: store.file("blobs/sha256/" + String(repeating: "a", count: 64)), withIntermediateDirectories: false)
        #expect(try store.collect(partials: true) == Collected())
        #expect(store.blobCount == 2)
    }

    /// A blob that is a link goes without what it points to.
    @Test func linksAreRemovedNotFollowed() throws {
        let secret = try directory.write("secret", "x")
        try FileManager.default.createSymbolicLink(
            atPath: store.file("blobs/sha256/" + String(repeating: "a", count: 64)), withDestinationPath: secret)
        #expect(try store.collect(partials: true)?.blobs.count == 1)
        #expect(FileManager.default.fileExists(atPath: secret))
    }

    /// Whoever stores at the same time finds everything there that they relied on.
    @Test func removersAndAddersAtOnce() throws {
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let writers = try (1...3).map { seed in
            let process = Process()
            process.executableURL = URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent("store-writer")
            process.arguments = [store.path, "\(seed)", "15", "50000"]
            try process.run()
            return process
        }
        while writers.contains(where: \.isRunning) {
            _ = try store.collect(partials: true)
            usleep(2000)
        }
        #expect(writers.allSatisfy { $0.terminationStatus == 0 })
        let images = try store.images()
        #expect(images.count == 45)
        for image in images { #expect(try store.open(image.descriptor) != nil) }
        #expect(try store.collect(partials: true) == Collected())
    }
}

@Suite struct ResolutionTests {
    private let directory: TemporaryDirectory
    private let store: ContentStore

    init() throws {
        directory = try TemporaryDirectory()
        store = try ContentStore.open(directory.path + "/store")
        try store.record(ImageName("stored:1"), store.put(TestImage()))
    }

    private func resolve(_ text: String) -> String {
        do throws(ImageError) {
            switch try ImageReference(Array(text.utf8)).load(openStore: { () throws(StoreError) in store }) {
            case .found(let image): return "\(image.layers.count) layers" + (image.layers.allSatisfy(\.isVerified) ? ", verified" : "")
            case .notStored(let name): return "not stored: \(name)"
            }
        } catch { return error.description }
    }

    @Test func namesAndIdentifiers() throws {
        let id = Digest(of: Array(TestImage().configuration.utf8))
        for text in ["stored:1", "docker.io/library/stored:1", id.hexadecimal, "\(id)", String(id.hexadecimal.prefix(6))] {
            #expect(resolve(text) == "2 layers, verified")
        }
        #expect(resolve("stored") == "not stored: stored:latest")
        #expect(resolve("localhost:5000/x@\(id)") == "not stored: localhost:5000/x@\(id)")
        #expect(
            resolve("Stored")
                == "there is no such file or directory, and \"Stored\" is no image name: repository name (library/Stored) must be lowercase")
        #expect(resolve("./stored:1").hasPrefix("there is no such file or directory, and \"./stored:1\" is no image name"))
        #expect(resolve("oci:stored:1") == "there is no stored: check the path")
    }

    @Test func thePathOfAnImageIsTheImage() throws {
        let layout = try TestImage.write(TestImage().files, to: directory)
        #expect(resolve(layout) == "2 layers")
        #expect(resolve(layout + ":latest") == "2 layers")
        #expect(resolve(layout + ":none") == "it holds no image named \"none\": it has latest")
        #expect(resolve(directory.path).hasPrefix("\(directory.path) holds no image"))
        #expect(resolve("/etc/passwd").hasPrefix("the archive is no tar archive"))
        let archive = try TestImage.archive(TestImage().files, to: directory)
        try Data(contentsOf: URL(fileURLWithPath: archive)).prefix(2000).write(to: URL(fileURLWithPath: archive))
        #expect(resolve(archive) == "the archive ends in the middle of a member: copy it again")
    }

    @Test func aMissingStoreHasNoImages() throws {
        let resolution = try ImageReference(Array("a".utf8)).load { () throws(StoreError) in nil }
        guard case .notStored(let name) = resolution else { throw ImageError.empty }
        #expect(name.familiar == "a:latest")
    }

    @Test func damagedImagesHaveOneSentence() throws {
        let layer = "blobs/sha256/" + Digest(of: TestImage().layers[1].bytes).hexadecimal
        try FileManager.default.removeItem(atPath: store.file(layer))
        // An unpacked image is started without its layers.
        guard case .found(let image) = try ImageReference(Array("stored:1".utf8)).load(openStore: { () throws(StoreError) in store }) else {
            throw ImageError.empty
        }
        #expect(try image.layers[0].open().length == 13)
        #expect {
            try image.layers[1].open()
        } throws: { error in
            "\(error)" == "layer 2 of 2 is missing (\(layer)): copy the image again"
        }
        try directory.write("store/index.json", "{")
        #expect(resolve("stored:1").hasPrefix("the image store is damaged: "))
    }
}
