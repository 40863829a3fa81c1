import OCI
import Testing

@testable import Registry

private let digest = "sha256:" + String(repeating: "0", count: 64)

private func entry(_ platform: Platform?) throws -> Descriptor {
    Descriptor(mediaType: "", digest: try Digest(digest), size: UInt64(platform?.description.utf8.count ?? 0), platform: platform)
}

@Suite struct DocumentTests {
    private static let manifestType = "application/vnd.oci.image.manifest.v1+json"
    private static let indexType = "application/vnd.oci.image.index.v1+json"

    @Test(arguments: [
        (#"{"layers": []}"#, manifestType, ManifestDocument.Kind.manifest, manifestType),
        (#"{"manifests": []}"#, indexType, .index, indexType),
        (#"{"layers": []}"#, "", .manifest, manifestType),
        (#"{"manifests": []}"#, "application/json", .index, indexType),
        (
            #"{"mediaType": "application/vnd.docker.distribution.manifest.v2+json", "layers": []}"#, "application/octet-stream", .manifest,
            "application/vnd.docker.distribution.manifest.v2+json"
        ),
        (
            #"{"manifests": []}"#, "application/vnd.docker.distribution.manifest.list.v2+json", .index,
            "application/vnd.docker.distribution.manifest.list.v2+json"
        ),
    ])
    func kinds(json: String, claimed: String, kind: ManifestDocument.Kind, mediaType: String) throws {
        let document = try ManifestDocument(Array(json.utf8), mediaType: claimed)
        #expect(document.kind == kind)
        #expect(document.descriptor.mediaType == mediaType)
        #expect(document.descriptor.size == UInt64(json.utf8.count))
    }

    @Test(arguments: [
        (#"{"layers": [], "manifests": []}"#, manifestType), (#"{"layers": []}"#, indexType), (#"{"manifests": []}"#, manifestType),
        (#"{"mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}"#, manifestType), ("{}", ""), ("[]", manifestType),
        (#"{"layers": []}"#, "text/html"), (#"{"schemaVersion": 1}"#, manifestType),
    ])
    func documentsWithTwoMeaningsAreRefused(json: String, claimed: String) {
        #expect(throws: RegistryError.self) { try ManifestDocument(Array(json.utf8), mediaType: claimed) }
    }

    @Test(arguments: [
        ("linux/amd64", "linux/amd64"), ("amd64", "linux/amd64"), ("x86_64", "linux/amd64"), ("linux/amd64/v3", "linux/amd64/v3"),
        ("linux/arm64", "linux/arm64/v8"), ("aarch64", "linux/arm64/v8"), ("linux/arm64/v8", "linux/arm64/v8"), ("linux/arm", "linux/arm/v7"),
        ("linux/arm/v6", "linux/arm/v6"), ("Windows/AMD64", "windows/amd64"),
    ])
    func choices(wanted: String, expected: String) throws {
        let names = ["linux/arm64/v8", "linux/amd64/v3", "linux/amd64", "linux/arm/v6", "linux/arm/v7", "unknown/unknown", "windows/amd64"]
        let all = try names.map { try entry(Platform(name: $0)) }
        #expect(try PlatformChoice.choose(from: all, wanted: try #require(Platform(name: wanted))).platform?.description == expected)
    }

    @Test func platformsThatAreMissingAreListed() throws {
        let all = try ["linux/arm64", "unknown/unknown", "linux/arm/v7"].map { try entry(Platform(name: $0)) }
        let wanted = Platform.native
        #expect(
            throws: RegistryError.noSuchPlatform(
                wanted: wanted, available: [Platform(name: "linux/arm64"), Platform(name: "linux/arm/v7")].compactMap(\.self))
        ) { try PlatformChoice.choose(from: all, wanted: wanted) }
        // A single entry that says nothing: its configuration decides.
        #expect(try PlatformChoice.choose(from: [entry(nil)], wanted: wanted).platform == nil)
        #expect(throws: RegistryError.self) { try PlatformChoice.choose(from: [entry(nil), entry(nil)], wanted: wanted) }
    }

    @Test(arguments: ["", "/", "linux/", "a/b/c/d", "linux/amd 64", "linux/amd64/", "lin\u{1B}ux/amd64"]) func platformsThatAreNone(name: String) {
        #expect(Platform(name: name) == nil)
    }
}
