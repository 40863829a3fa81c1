import Foundation
import ImageFixtures
import OCI
import Testing

@testable import Images

@Suite struct DockerArchiveTests {
    private let directory: TemporaryDirectory
    private let layers: [[UInt8]] = [Array("plain tar, to the eye".utf8), [0x1F, 0x8B, 8, 0, 1], [0x28, 0xB5, 0x2F, 0xFD, 1]]

    init() throws { directory = try TemporaryDirectory() }

    private var configuration: [UInt8] {
        let identifiers = layers.map { "\"\(digestText($0))\"" }.joined(separator: ",")
        return Array(#"{"architecture":"amd64","os":"linux","config":{"Cmd":["x"]},"rootfs":{"diff_ids":[\#(identifiers)]}}"#.utf8)
    }

    private var configurationName: String { digestText(configuration).dropFirst(7) + ".json" }

    private func manifest(tags: [String] = ["busybox:latest"], layers: [String] = ["a/layer.tar", "b/layer.tar", "c/layer.tar"]) -> String {
        let tagList = tags.map { "\"\($0)\"" }.joined(separator: ",")
        let layerList = layers.map { "\"\($0)\"" }.joined(separator: ",")
        return #"{"Config":"\#(configurationName)","RepoTags":[\#(tagList)],"Layers":[\#(layerList)]}"#
    }

    private func archive(_ manifests: [String], _ more: (inout TarWriter) -> Void = { _ in }) throws -> String {
        var tar = TarWriter()
        for (name, layer) in zip(["a", "b", "c"], layers) {
            tar.directory(name + "/")
            tar.file(name + "/layer.tar", layer)
        }
        more(&tar)
        tar.file(configurationName, configuration)
        tar.file("manifest.json", "[\(manifests.joined(separator: ","))]")
        tar.end()
        return try directory.write("saved.tar", tar.bytes)
    }

    private func load(_ reference: String) throws -> Image { try ImageReference(Array(reference.utf8)).loadLocal() }

    private func failure(_ reference: String) -> String {
        do {
            _ = try load(reference)
            return "no error"
        } catch { return "\(error)" }
    }

    @Test(arguments: ["", ":busybox", ":docker.io/library/busybox:latest", ":@0"], ["docker-archive:", ""])
    func layersStayInPlace(selector: String, transport: String) throws {
        let loaded = try load(transport + archive([manifest()]) + selector)
        #expect(loaded.layers.map(\.compression) == [.none, .gzip, .zstd])
        #expect(try loaded.layers.map { try $0.open().readPrefix(100) } == layers)
        #expect(loaded.layers.map { $0.diffID.description } == layers.map(digestText))
        #expect(loaded.layers.allSatisfy { $0.digest == nil })
    }

    @Test func oldArchivesLinkEqualLayers() throws {
        let path = try archive([manifest(layers: ["d/layer.tar", "e/layer.tar", "c/layer.tar"])]) {
            $0.symbolicLink("d/layer.tar", to: "../a/layer.tar")
            $0.hardLink("e/layer.tar", to: "b/layer.tar")
        }
        #expect(try load(path).layers.map { try $0.open().readPrefix(100) } == layers)
    }

    @Test func linksThatGoRoundEnd() throws {
        let path = try archive([manifest(layers: ["d", "b/layer.tar", "c/layer.tar"])]) {
            $0.symbolicLink("d", to: "e")
            $0.symbolicLink("e", to: "d")
        }
        #expect(failure(path) == "d in the archive is a link that leads nowhere")
    }

    @Test(arguments: ["../../etc/passwd", "/etc/passwd", "a/../../etc/passwd", "nowhere"])
    func pathsStayInTheArchive(path: String) throws {
        let archive = try archive([manifest(layers: [path, "b/layer.tar", "c/layer.tar"])])
        #expect(failure(archive) == "layer 1 of 3 is missing (\(path)): copy the image again")
    }

    @Test func namesChooseAmongSeveral() throws {
        let path = try archive([manifest(tags: ["one:1"]), manifest(tags: ["two:2", "two:latest"])])
        #expect(try load(path + ":two").layers.count == 3)
        #expect(failure(path) == "it holds several images: append :NAME, one of one:1, two:2, two:latest")
        #expect(failure(path + ":three") == "it holds no image named \"three\": it has one:1, two:2, two:latest")
    }

    @Test func theConfigurationMustMatchItsName() throws {
        var tar = TarWriter()
        tar.file(configurationName, configuration.map { $0 == UInt8(ascii: "x") ? UInt8(ascii: "y") : $0 })
        tar.file("manifest.json", "[\(manifest())]")
        tar.end()
        let path = try directory.write("wrong.tar", tar.bytes)
        #expect(failure(path).hasPrefix("the configuration does not match its digest"))
    }

    @Test func truncatedArchives() throws {
        var tar = TarWriter()
        tar.file("manifest.json", "[\(manifest())]")
        tar.file("a/layer.tar", [UInt8](repeating: 7, count: 5000))
        let path = try directory.write("short.tar", Array(tar.bytes.dropLast(2000)))
        #expect(failure(path) == "the archive ends in the middle of a member: copy it again")
    }

    @Test func otherArchivesAreNoImages() throws {
        var tar = TarWriter()
        tar.file("hello", "x")
        tar.end()
        let path = try directory.write("other.tar", tar.bytes)
        #expect(failure(path).hasPrefix("\(path) holds no image"))
    }

    /// Whatever single bytes of headers and documents say: an image or a sentence, never a crash, and never a layer outside the file.
    @Test func spoiltArchivesAreSurvived() throws {
        let path = try archive([manifest()])
        let sound = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
        var state: UInt64 = 7
        for _ in 0..<1000 {
            var bytes = sound
            for _ in 0..<3 {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                bytes[Int(state >> 33) % bytes.count] = UInt8(truncatingIfNeeded: state >> 20)
            }
            try Data(bytes.prefix(Int(state >> 40) % (bytes.count * 2))).write(to: URL(fileURLWithPath: path))
            let image = try? load(path)
            let ranges = try image?.layers.map { try $0.open() } ?? []
            let isInside = ranges.allSatisfy { $0.offset + $0.length <= $0.file.size }
            #expect(isInside)
        }
    }
}
