import Testing

@testable import OCI

private let zeros = String(repeating: "0", count: 64)

@Suite struct DigestTests {
    @Test func readsAndWrites() throws {
        let text = "sha256:" + String(repeating: "0f", count: 32)
        let digest = try Digest(text)
        #expect(digest.bytes == [UInt8](repeating: 15, count: 32))
        #expect(digest.description == text)
    }

    @Test(arguments: [
        "", "sha256:", "sha256", "sha256:../../../etc/passwd", "sha256:" + String(repeating: "A", count: 64), zeros, "sha256:" + zeros + "0",
        "sha256:" + String(repeating: "0", count: 63), "sha256:" + String(repeating: "0", count: 62) + "/.", "sha256:\u{0}" + zeros.dropFirst(),
        "sha256:" + String(repeating: "٠", count: 64), "SHA256:" + zeros, "sha256:" + String(repeating: "0", count: 62) + "\u{e9}",
    ])
    func refusesEverythingElse(text: String) {
        #expect(throws: OCIError.invalidDigest(text)) { try Digest(text) }
    }

    @Test func namesUnsupportedAlgorithms() {
        #expect(throws: OCIError.unsupportedDigestAlgorithm("sha512:00")) { try Digest("sha512:00") }
    }
}

@Suite struct MediaTypeTests {
    @Test(arguments: [
        ("application/vnd.oci.image.layer.v1.tar+zstd", MediaType.layer(.zstd)),
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", .layer(.gzip)),
        ("application/vnd.oci.image.layer.v1.tar", .layer(.none)),
        ("application/vnd.docker.distribution.manifest.list.v2+json", .index),
        ("application/vnd.docker.distribution.manifest.v2+json", .manifest),
        ("application/vnd.docker.container.image.v1+json", .configuration),
        ("application/vnd.docker.distribution.manifest.v1+prettyjws", .unknown),
        ("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", .unknown),
        ("", .unknown),
    ])
    func isRecognised(text: String, expected: MediaType) {
        #expect(MediaType(text) == expected)
    }

    @Test(arguments: [([0x1F, 0x8B, 8, 0], Compression.gzip), ([0x28, 0xB5, 0x2F, 0xFD], .zstd), ([0x62, 0x69, 0x6E, 0x2F], .none), ([], .none)])
    func compressionShowsInTheFirstBytes(magic: [UInt8], expected: Compression) {
        #expect(Compression(magic: magic) == expected)
    }
}

@Suite struct DocumentTests {
    private func error(_ body: () throws -> Void) -> String {
        do {
            try body()
            return "no error"
        } catch { return "\(error)" }
    }

    @Test(arguments: [
        ("", "the manifest is invalid: it is not JSON"),
        ("[]", "the manifest is invalid: the document has the wrong type"),
        ("{}", "the manifest is invalid: config is missing"),
        (
            #"{"config": {"digest": "sha256:x", "size": 1}}"#,
            "the manifest is invalid: config.digest: \"sha256:x\" is no digest (sha256: and 64 lower-case hexadecimal digits)"
        ),
        (#"{"config": {"digest": "sha256:\#(zeros)", "size": -1}}"#, "the manifest is invalid: config.size: -1 is negative"),
        (#"{"config": {"digest": "sha256:\#(zeros)", "size": 1e30}}"#, "the manifest is invalid"),
        (
            #"{"config": {"digest": "sha256:\#(zeros)", "size": 1}, "layers": [{"digest": 5}]}"#,
            "the manifest is invalid: layers[0].digest has the wrong type"
        ),
        (#"{"schemaVersion": 1}"#, "the manifest is invalid: schemaVersion: version 1 is not supported, only 2"),
    ])
    func wrongManifestsAreExplained(json: String, expected: String) {
        let text = error { _ = try ImageManifest(json: Array(json.utf8), name: "the manifest") }
        #expect(text.hasPrefix(expected))
    }

    @Test func deepNestingIsNoCrash() {
        let json = [UInt8](repeating: UInt8(ascii: "["), count: 1 << 20)
        #expect(throws: OCIError.self) { try ImageIndex(json: json, name: "index.json") }
    }

    @Test func invalidUTF8IsAnError() {
        #expect(throws: OCIError.self) { try ImageIndex(json: [0x7B, 0x22, 0xFF, 0x22, 0x7D], name: "index.json") }
    }

    @Test func configurationsMayLeaveEverythingOut() throws {
        let configuration = try ImageConfiguration(json: Array("{}".utf8), name: "the configuration")
        #expect(configuration.process == ImageConfiguration.Process())
        #expect(configuration.diffIDs.isEmpty)
    }

    @Test func nullsAreAbsence() throws {
        let json =
            #"{"architecture": "amd64", "os": "linux", "config": {"Cmd": null, "Entrypoint": null, "Env": null}, "rootfs": {"diff_ids": null}}"#
        let configuration = try ImageConfiguration(json: Array(json.utf8), name: "the configuration")
        #expect(configuration.process.command == nil)
        #expect(configuration.platform == Platform(operatingSystem: "linux", architecture: "amd64"))
    }
}
