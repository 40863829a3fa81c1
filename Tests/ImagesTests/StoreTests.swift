import Foundation
import ImageFixtures
import OCI
import Testing

@testable import Images

func octets(_ bytes: [UInt8], size: Int? = nil) -> Descriptor {
    Descriptor(mediaType: "application/octet-stream", digest: Digest(of: bytes), size: UInt64(size ?? bytes.count))
}

func failure(_ body: () throws -> Void) -> String {
    do {
        try body()
        return "no error"
    } catch { return "\(error)" }
}

extension ContentStore {
    func put(_ bytes: [UInt8]) throws -> Descriptor { try add(bytes, mediaType: "application/octet-stream") }

    func get(_ descriptor: Descriptor) throws -> [UInt8]? { try document(descriptor, what: "the blob") }

    func file(_ name: String) -> String { path + "/" + name }

    func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: file(name)) }
}

@Suite struct StoreTests {
    private let directory: TemporaryDirectory
    private let store: ContentStore
    private let bytes = Array("some content".utf8)

    init() throws {
        directory = try TemporaryDirectory()
        store = try ContentStore.open(directory.path + "/a/store")
    }

    private func ingest(_ descriptor: Descriptor) throws -> Ingest { try #require(try store.ingest(descriptor)) }

    @Test func theStoreIsItsOwnersAlone() throws {
        let attributes = try FileManager.default.attributesOfItem(atPath: store.path)
        #expect(attributes[.posixPermissions] as? Int == 0o700)
    }

    @Test func contentIsStoredUnderItsDigest() throws {
        let descriptor = try store.put(bytes)
        #expect(descriptor.digest.description == digestText(bytes))
        #expect(try store.get(descriptor) == bytes)
        #expect(try Data(contentsOf: URL(fileURLWithPath: store.file("blobs/sha256/" + descriptor.digest.hexadecimal))) == Data(bytes))
        #expect(try store.ingest(descriptor) == nil)
        #expect(try store.get(octets([1])) == nil)
        #expect(try FileManager.default.contentsOfDirectory(atPath: store.file("ingest")) == [])
    }

    @Test func storingGoesOnWhereItEnded() throws {
        let descriptor = octets(bytes)
        try ingest(descriptor).append(Array(bytes[..<5]).span)
        let second = try ingest(descriptor)
        #expect(second.received == 5)
        try second.append(Array(bytes[5...]).span)
        #expect(try store.get(descriptor) == nil)
        try second.finish()
        #expect(try store.get(descriptor) == bytes)
    }

    @Test func storingCanBeginAgain() throws {
        let descriptor = octets(bytes)
        let ingest = try ingest(descriptor)
        try ingest.append([1, 2, 3].span)
        try ingest.restart()
        #expect(ingest.received == 0)
        try ingest.append(bytes.span)
        try ingest.finish()
        #expect(try store.get(descriptor) == bytes)
    }

    @Test func aWrongDigestLeavesNothing() throws {
        let descriptor = octets(bytes)
        let other = Array("other bytes!".utf8)
        let ingest = try ingest(descriptor)
        try ingest.append(other.span)
        #expect(
            failure { try ingest.finish() }
                == "what should be \(digestText(bytes)) is \(digestText(other)): it is corrupt, get it again")
        #expect(!store.exists("ingest/" + descriptor.digest.hexadecimal))
        #expect(try self.ingest(descriptor).received == 0)
    }

    @Test func moreThanPromisedIsRefused() throws {
        let ingest = try ingest(octets(bytes, size: 5))
        try ingest.append(Array(bytes[..<4]).span)
        #expect(failure { try ingest.append(Array(bytes[4...]).span) } == "\(digestText(bytes)) has more than the 5 bytes that it should have")
        #expect(ingest.received == 4)
    }

    @Test func lessThanPromisedStays() throws {
        let descriptor = octets(bytes)
        let ingest = try ingest(descriptor)
        try ingest.append([1].span)
        #expect(failure { try ingest.finish() } == "\(digestText(bytes)) ends after 1 of 12 bytes")
        #expect(store.exists("ingest/" + descriptor.digest.hexadecimal))
    }

    @Test func aPartThatIsTooLongIsDropped() throws {
        let descriptor = octets(bytes)
        try Data(count: 100).write(to: URL(fileURLWithPath: store.file("ingest/" + descriptor.digest.hexadecimal)))
        #expect(try ingest(descriptor).received == 0)
    }

    @Test func oneWriterAtATime() throws {
        let descriptor = octets(bytes)
        let first = try ingest(descriptor)
        try first.append(bytes.span)
        #expect(failure { _ = try store.ingest(descriptor, waiting: false) }.hasSuffix("try again when that has ended"))
        let second = try ContentStore.open(store.path)
        let waiter = Thread { #expect(throws: Never.self) { if try second.ingest(descriptor) != nil { Issue.record("it was there") } } }
        waiter.start()
        usleep(20_000)
        try first.finish()
        while !waiter.isFinished { usleep(1000) }
        #expect(try FileManager.default.contentsOfDirectory(atPath: store.file("ingest")) == [])
    }

    @Test func namesAreRecorded() throws {
        let (one, two) = (try store.put([1]), try store.put([2]))
        try store.record(ImageName("nginx:1.27"), one)
        try store.record(ImageName("localhost:5000/a"), two)
        #expect(try store.find(ImageName("docker.io/library/nginx:1.27")) == one)
        #expect(try store.find(ImageName("nginx")) == nil)
        #expect(try store.images().map { $0.name?.canonical } == ["docker.io/library/nginx:1.27", "localhost:5000/a:latest"])
        // Another process sees the same.
        #expect(try ContentStore.open(store.path).images() == store.images())
    }

    @Test func aNameThatMovesLeavesItsImageNameless() throws {
        let (one, two) = (try store.put([1]), try store.put([2]))
        try store.record(ImageName("a"), one)
        try store.record(ImageName("a"), two)
        #expect(try store.images() == [StoredImage(name: nil, descriptor: one), StoredImage(name: ImageName("a"), descriptor: two)])
        try store.record(ImageName("b"), one)
        #expect(try store.images().map { $0.name?.familiar } == ["a:latest", "b:latest"])
    }

    @Test func digestsAreNamesToo() throws {
        let one = try store.put([1])
        try store.record(ImageName("a:1"), one)
        #expect(try store.find(ImageName("a@\(one.digest)")) == one)
        #expect(try store.find(ImageName("a:2@\(one.digest)")) == one)
        #expect(try store.find(ImageName("b@\(one.digest)")) == nil)
        // The digest may be that of an index of which only one manifest is kept.
        let other = Digest(of: [7])
        try store.record(ImageName("a:9@\(other)"), one)
        #expect(try store.find(ImageName("a@\(other)")) == one)
        #expect(try store.find(ImageName("a:9")) == nil)
    }

    @Test func namesNeedTheirContent() throws {
        #expect(failure { try store.record(ImageName("a"), octets(bytes)) }.hasPrefix("the manifest (\(digestText(bytes))) is missing"))
    }

    @Test func annotationsAndPlatformsArePreserved() throws {
        let one = try store.put([1])
        let full = Descriptor(
            mediaType: one.mediaType, digest: one.digest, size: one.size, platform: Platform(operatingSystem: "linux", architecture: "arm64"),
            annotations: ["x": "\u{1B}\"y"])
        try store.record(ImageName("a"), full)
        #expect(try store.find(ImageName("a")) == full)
    }

    @Test func otherDirectoriesAreLeftAlone() throws {
        try directory.write("home/letter", "x")
        #expect(failure { _ = try ContentStore.open(directory.path + "/home") }.hasPrefix("\(directory.path)/home holds other things than images"))
        #expect(failure { _ = try ContentStore.open(directory.path + "/home/letter") }.contains("/home/letter"))
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path + "/home") == ["letter"])
        #expect(try ContentStore.openExisting(Array((directory.path + "/none").utf8)) == nil)
    }

    @Test func aFreshFileSystemIsEmpty() throws {
        try directory.write("disk/lost+found/.x", "")
        #expect(try ContentStore.open(directory.path + "/disk").images() == [])
    }

    @Test func aStoreWhoseMakerWasKilledIsCompleted() throws {
        try directory.write("half/index.lock", "")
        try directory.write("half/blobs/.x", "")
        #expect(try ContentStore.open(directory.path + "/half").images() == [])
    }
}

@Suite struct DamagedStoreTests {
    private let directory: TemporaryDirectory
    private let store: ContentStore
    private let descriptor: Descriptor
    private let blob: String

    init() throws {
        directory = try TemporaryDirectory()
        store = try ContentStore.open(directory.path + "/store")
        descriptor = try store.put(Array("content".utf8))
        blob = "blobs/sha256/" + descriptor.digest.hexadecimal
        try store.record(ImageName("a"), descriptor)
    }

    private func replace(_ name: String, _ bytes: [UInt8]) throws {
        try? FileManager.default.removeItem(atPath: store.file(name))
        try directory.write("store/" + name, bytes)
    }

    private func link(_ name: String, to target: String) throws {
        try? FileManager.default.removeItem(atPath: store.file(name))
        try FileManager.default.createSymbolicLink(atPath: store.file(name), withDestinationPath: target)
    }

    @Test(arguments: ["", "{", "[]", "{}", #"{"manifests": [{}]}"#, "\u{0}"])
    func damagedIndexes(text: String) throws {
        try replace("index.json", Array(text.utf8))
        let sentence = failure { _ = try store.images() }
        #expect(sentence.hasPrefix("the image store is damaged: \(store.path)/index.json: index.json is invalid: "))
        #expect(sentence.hasSuffix(": remove the file and get the images again"))
        #expect(failure { try store.record(ImageName("b"), descriptor) } == sentence)
        // What the sentence says helps.
        try FileManager.default.removeItem(atPath: store.file("index.json"))
        try store.record(ImageName("b"), descriptor)
        #expect(try store.images().map { $0.name?.familiar } == ["b:latest"])
    }

    @Test func hugeIndexes() throws {
        try replace("index.json", [UInt8](repeating: 0x20, count: 5 << 20))
        #expect(failure { _ = try store.images() }.hasSuffix("at most 4194304 are allowed"))
    }

    @Test func entriesOfOthersAreKept() throws {
        let entry =
            #"{"mediaType": "x/y", "digest": "\#(descriptor.digest)", "size": 7, "annotations": {"org.opencontainers.image.ref.name": "Not A Name"}}"#
        try replace("index.json", Array(TestImage.index([entry]).utf8))
        #expect(try store.images().map(\.name) == [nil])
        try store.record(ImageName("b"), try store.put([1]))
        #expect(try store.images().first?.descriptor.annotations == ["org.opencontainers.image.ref.name": "Not A Name"])
    }

    @Test func aBlobOfAnotherSize() throws {
        try replace(blob, Array("contents".utf8))
        #expect(failure { _ = try store.open(descriptor) } == "\(blob) in the image store has 8 bytes instead of 7: get the image again")
        // Getting it again repairs it.
        let ingest = try #require(try store.ingest(descriptor))
        try ingest.append(Array("content".utf8).span)
        try ingest.finish()
        #expect(try store.open(descriptor)?.size == 7)
    }

    @Test func aBlobWithOtherBytes() throws {
        try replace(blob, Array("CONTENT".utf8))
        #expect(
            failure { _ = try store.document(descriptor, what: "the blob") }
                == "\(blob) in the image store does not match its digest: remove the file and get the image again")
    }

    @Test func linksInPlaceOfFiles() throws {
        let secret = try directory.write("secret", "content")
        try link(blob, to: secret)
        #expect(failure { _ = try store.open(descriptor) } == "\(blob) in the image store is not a regular file: remove it")
        try link("index.json", to: secret)
        #expect(failure { _ = try store.images() }.hasPrefix("\(store.path)/index.json in the image store is not what it should be"))
        let other = octets([1, 2, 3])
        try link("ingest/" + other.digest.hexadecimal, to: secret)
        #expect(failure { _ = try store.ingest(other) }.contains("is not what it should be"))
        #expect(try String(contentsOfFile: secret, encoding: .utf8) == "content")
    }

    @Test func linksInPlaceOfDirectories() throws {
        try directory.write("elsewhere/x", "")
        try link("ingest", to: directory.path + "/elsewhere")
        #expect(failure { _ = try store.put([9]) }.contains("is not what it should be"))
        try link("blobs/sha256", to: directory.path + "/elsewhere")
        #expect(failure { _ = try ContentStore.open(store.path) }.contains("/blobs/sha256 in the image store is not what it should be"))
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path + "/elsewhere") == ["x"])
    }

    @Test func otherKindsOfFiles() throws {
        let other = octets([1, 2, 3])
        // SAFETY: the strings live during the calls.
        #expect(unsafe mkfifo(store.file("ingest/" + other.digest.hexadecimal), 0o600) == 0)
        #expect(failure { _ = try store.ingest(other) }.contains("is not what it should be"))
        try FileManager.default.removeItem(atPath: store.file(blob))
        #expect(unsafe mkfifo(store.file(blob), 0o600) == 0)
        #expect(failure { _ = try store.open(descriptor) } == "\(blob) in the image store is not a regular file: remove it")
        try FileManager.default.removeItem(atPath: store.file(blob))
        try FileManager.default.createDirectory(atPath: store.file(blob), withIntermediateDirectories: false)
        #expect(failure { _ = try store.open(descriptor) } == "\(blob) in the image store is not a regular file: remove it")
    }

    @Test func missingParts() throws {
        try FileManager.default.removeItem(atPath: store.file("blobs"))
        #expect(failure { _ = try ContentStore.open(store.path) }.contains("/blobs/sha256 in the image store is not what it should be"))
        try FileManager.default.removeItem(atPath: store.file("ingest"))
        #expect(failure { _ = try store.put([9]) }.contains("/ingest/"))
    }
}

@Suite struct SharedStoreTests {
    private let directory: TemporaryDirectory
    private var path: String { directory.path + "/store" }

    init() throws { directory = try TemporaryDirectory() }

    private func writer(_ seed: Int, _ count: Int, _ size: Int) throws -> Process {
        let process = Process()
        // Beside the tests' own executable.
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        process.executableURL = URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent("store-writer")
        process.arguments = [path, "\(seed)", "\(count)", "\(size)"]
        try process.run()
        return process
    }

    /// What has arrived stays, and once there is room again the next process goes on behind it.
    @Test(.enabled(if: geteuid() == 0, "needs a file system of its own"))
    func fullFileSystem() throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/unshare")
        let script = """
            mkdir "$1" && mount -t tmpfs -o size=1m none "$1" && head -c 600000 /dev/zero > "$1/filler" && mkdir "$1/store"
            "$2" "$1/store" 1 1 800000
            echo "status $?"
            stat -c %s "$1"/store/ingest/*
            rm "$1/filler"
            "$2" "$1/store" 1 1 800000
            echo "status $?"
            stat -c %s "$1"/store/blobs/sha256/*
            """
        let writer = try writer(0, 0, 0)
        writer.waitUntilExit()
        process.arguments = ["-m", "sh", "-c", script, "sh", directory.path + "/disk", writer.executableURL?.path ?? ""]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let lines = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self).split(separator: "\n")
        #expect(lines.count == 5)
        #expect(
            lines.first ?? ""
                == "no space is left for the image store \(directory.path)/disk/store: free some, for example with 'swiftlet prune', and try again")
        #expect(lines[1] == "status 1" && (Int(lines[2]) ?? 0) > 300_000)
        #expect(lines[3...] == ["status 0", "800000"])
    }

    /// Every blob is what its name says, every name leads to a blob; returns how many of each.
    private func verify() throws -> (blobs: Int, names: Int) {
        let store = try ContentStore.open(path)
        let files = try FileManager.default.contentsOfDirectory(atPath: path + "/blobs/sha256")
        for file in files {
            let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path + "/blobs/sha256/" + file)))
            #expect(Digest(of: bytes).hexadecimal == file)
        }
        let images = try store.images()
        for image in images { #expect(try store.open(image.descriptor) != nil) }
        return (files.count, images.count)
    }

    @Test func severalProcessesAtOnce() throws {
        let writers = try [1, 1, 1, 2, 3].map { try writer($0, 20, 100_000) }
        for writer in writers {
            writer.waitUntilExit()
            #expect(writer.terminationStatus == 0)
        }
        let found = try verify()
        #expect(found == (60, 60))
        #expect(try FileManager.default.contentsOfDirectory(atPath: path + "/ingest") == [])
    }

    @Test func killedAtAnyInstant() throws {
        var generator = SystemRandomNumberGenerator()
        var ended = 0
        for round in 0..<60 {
            // Two writers of the same blobs: one dies, the other one goes on.
            let (victim, survivor) = (try writer(round / 8, 8, 200_000), round % 4 == 0 ? try writer(round / 8, 2, 200_000) : nil)
            usleep(UInt32.random(in: 0..<25_000, using: &generator))
            kill(victim.processIdentifier, SIGKILL)
            victim.waitUntilExit()
            if victim.terminationReason == .exit { ended += 1 }
            survivor?.waitUntilExit()
            #expect(survivor?.terminationStatus ?? 0 == 0)
            _ = try verify()
        }
        #expect(ended < 60)
        let last = try writer(0, 8, 200_000)
        last.waitUntilExit()
        #expect(last.terminationStatus == 0)
        #expect(try verify().names >= 8)
    }
}
