// `swiftlet pull` against a registry that misbehaves: a clear sentence, status 1, nothing lost, and the next pull goes on.
import Foundation
import Testing

private func isPrintable(_ text: String) -> Bool {
    text.unicodeScalars.allSatisfy { $0 == "\n" || ($0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) && $0.value != 0x202E) }
}

@Suite struct HostileRegistryTests {
    private let registry: HostileRegistry
    private let client = Client()

    init() throws { registry = try HostileRegistry.plain.get() }

    private func name(_ scenario: String) -> String { "127.0.0.1:\(registry.port)/\(scenario)" }

    @Test(arguments: [
        ("status-401", "gives nobody access to status-401"),
        ("status-403", "forbids access to status-403 (\"DENIED: the reason"),
        ("status-404", "does not have 127.0.0.1"),
        ("status-418", "with status 418"),
        ("status-429", "allows no more requests for now: try again in 600 seconds"),
        ("huge", "the manifest is larger than the 4194304 bytes"),
        ("deep", "it is not JSON"),
        ("not-json", "it is not JSON"),
        ("two-faced", "it is an index as well"),
        ("schema1", "Docker's old format (schema 1)"),
        ("chart", "its configuration has the media type \"application/vnd.cncf.helm.config.v1+json\""),
        ("odd-layer", "its layer 1 has the media type \"application/vnd.example.layer.v1.tar+lz4\""),
        ("many-layers", "it has 5000 layers"),
        ("no-platform", "no image for linux/amd64; there is one for: linux/arm64/v8, windows/amd64"),
        ("arm-only", "no image for linux/amd64; there is one for: linux/arm64"),
        ("deep-chain", "nested deeper than 4 levels"),
        ("self", "the manifest should have the digest sha256:5555"),
        ("layer-count", "its manifest lists 1 layers, its configuration 2"),
        ("lying-size", "but the registry sends"),
        ("lying-header", "says that the manifest has the digest sha256:5555"),
        ("wrong-digest", "should have the digest"),
        ("short", "bytes, but the registry sends"),
        ("long", "bytes, but the registry sends"),
        ("long-chunked", "bytes, but the registry sends"),
        ("redirect-loop", "redirects in circles"),
        ("redirect-file", "redirects to no usable address"),
        ("headers", "bytes of headers"),
        ("no-http", "the transfer from 127.0.0.1"),
        ("missing-blob", "does not have the layer sha256:"),
        ("odd-challenge", "an authorization that is not supported (negotiate)"),
        ("bearer-huge", "the token is larger than"),
        ("bearer-deep", "sent no usable token: its answer is invalid: it is not JSON"),
        ("bearer-header", "sent no usable token"),
    ])
    func oneSentenceForEachLie(scenario: String, sentence: String) async throws {
        let outcome = try await client.pull(name(scenario))
        #expect(outcome.status == 1)
        #expect(outcome.output == "")
        #expect(outcome.error.contains("swiftlet: cannot pull \(name(scenario)):latest: "), "\(outcome)")
        #expect(outcome.error.contains(sentence), "\(outcome)")
        #expect(isPrintable(outcome.error), "\(outcome)")
        #expect(client.names() == [])
    }

    @Test(arguments: [
        ("status-500", "failed with status 500 (\"DENIED: the reason"),
        ("closes", "broke the connection off again and again"),
        ("stalls", "sent next to nothing for 1 seconds"),
        ("silent", "sent next to nothing for 1 seconds"),
        ("short-chunked", "bytes, but the registry sends"),
        ("poison", "broke the connection off again and again"),
    ])
    func failuresThatLastAreGivenUp(scenario: String, sentence: String) async throws {
        let outcome = try await client.pull(name(scenario))
        #expect(outcome.status == 1)
        #expect(outcome.error.contains(sentence), "\(outcome)")
        #expect(outcome.error.contains("Retrying in 1 second"), "\(outcome)")
        #expect(isPrintable(outcome.error), "\(outcome)")
        #expect(client.names() == [])
    }

    @Test func registryThatIsDown() async throws {
        let outcome = try await client.pull("127.0.0.1:1/nobody")
        #expect(outcome.status == 1)
        #expect(outcome.error.contains("127.0.0.1:1 cannot be reached"), "\(outcome)")
        let unknown = try await client.pull("no-such-host.invalid/nobody")
        #expect(unknown.error.contains("the address of no-such-host.invalid cannot be found"), "\(unknown)")
    }

    @Test(arguments: ["busy", "wait", "closes-once", "no-range", "no-such-range", "redirect-here", "multi", "good/deep/er"])
    func failuresThatPassAreSurvived(scenario: String) async throws {
        let outcome = try await client.pull(name(scenario))
        #expect(outcome.status == 0, "\(outcome)")
        #expect(client.names() == ["\(name(scenario)):latest"])
        #expect(client.partials() == [:])
        let ranges = registry.requests("/v2/\(scenario)/blobs/").compactMap(\.range)
        let isResumed = ["closes-once", "no-range", "no-such-range"].contains(scenario)
        #expect(ranges == (isResumed ? ["bytes=500000-"] : []))
    }

    @Test func killedInMidBlob() async throws {
        let process = client.process([Client.swiftlet, "pull", name("slow")])
        process.standardError = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        let deadline = Date(timeIntervalSinceNow: 30)
        while client.partials().values.max() ?? 0 < 500_000 {
            try #require(Date() < deadline && process.isRunning)
            try await Task.sleep(for: .milliseconds(10))
        }
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        #expect(client.names() == [])
        let kept = try #require(client.partials().values.max())

        let outcome = try await client.pull(name("slow"))
        #expect(outcome.status == 0, "\(outcome)")
        #expect(registry.requests("/v2/slow/blobs/").compactMap(\.range) == ["bytes=\(kept)-"])
        #expect(client.partials() == [:])
        #expect(client.names() == ["\(name("slow")):latest"])
    }

    @Test func aPartFromALiarIsFetchedAgain() async throws {
        let poisoned = try await client.pull(name("poison"))
        #expect(poisoned.status == 1)
        #expect(client.partials().values.max() ?? 0 > 0)
        let outcome = try await client.pull(name("good"))
        #expect(outcome.status == 0, "\(outcome)")
    }

    @Test func anotherPartThanAskedForIsRefused() async throws {
        let outcome = try await client.pull(name("wrong-range"))
        #expect(outcome.status == 1)
        #expect(outcome.error.contains("another part came than was asked for"), "\(outcome)")
        let next = try await client.pull(name("wrong-range"))
        #expect(next.status == 0, "\(next)")
    }

    /// A limit on files' sizes looks like a full disk, and needs no disk.
    @Test func diskThatFills() async throws {
        let full = try await client.run([
            "/bin/sh", "-c", "trap '' XFSZ; ulimit -f 1000; exec \"$0\" pull \"$1\"", Client.swiftlet, name("good/full"),
        ])
        #expect(full.status == 1)
        #expect(full.error.contains("no space is left for the image store"), "\(full)")
        #expect(client.names() == [])
        let kept = try #require(client.partials().values.max())
        #expect(kept > 0)
        let outcome = try await client.pull(name("good/full"))
        #expect(outcome.status == 0, "\(outcome)")
        #expect(registry.requests("/v2/good/full/blobs/").compactMap(\.range) == ["bytes=\(kept)-"])
    }

    // MARK: Platforms

    @Test func anotherPlatformIsTakenWhenAskedFor() async throws {
        let native = try await client.pull(name("multi"), "-q")
        #expect(native.output == "\(name("multi")):latest\n")
        let before = client.blobs()
        let other = try await client.pull("--platform", "arm64", name("multi"))
        #expect(other.status == 0, "\(other)")
        // Two documents more; the layers are the same.
        #expect(client.blobs().count == before.count + 2)
        let missing = try await client.pull("--platform=linux/riscv64", name("multi"))
        #expect(missing.error.contains("no image for linux/riscv64; there is one for: linux/arm64/v8, linux/amd64"), "\(missing)")
    }

    // MARK: Authorization

    @Test func anonymousTokens() async throws {
        let outcome = try await client.pull(name("bearer-anonymous"))
        #expect(outcome.status == 0, "\(outcome)")
        let asked = registry.requests("/token/bearer-anonymous")
        #expect(asked.count == 1)
        #expect(asked.first?.authorization == nil)
        #expect(asked.first?.path.hasSuffix("?service=test%2C%20service&scope=repository%3Abearer-anonymous%3Apull") ?? false)
    }

    @Test func expiredTokensAreRenewed() async throws {
        let outcome = try await client.pull(name("bearer-short"))
        #expect(outcome.status == 0, "\(outcome)")
        #expect(registry.requests("/token/bearer-short").count > 1)
    }

    @Test func tokensForAPassword() async throws {
        var client = client
        client.environment["REGISTRY_AUTH_FILE"] = client.home + "/auth.json"
        let none = try await client.pull(name("bearer-password"))
        #expect(none.error.contains("gives nobody access to bearer-password without logging in"), "\(none)")
        try client.write(
            "auth.json", #"{"auths": {"127.0.0.1:\#(registry.port)": {"auth": "\#(Data("alice:wrong-word".utf8).base64EncodedString())"}}}"#)
        let wrong = try await client.pull(name("bearer-password"))
        #expect(wrong.error.contains("with the credentials from \(client.home)/auth.json"), "\(wrong)")
        #expect(!wrong.error.contains("wrong-word"))
        try client.write("auth.json", #"{"auths": {"127.0.0.1:\#(registry.port)": {"auth": "\#(Data("alice:secret".utf8).base64EncodedString())"}}}"#)
        let right = try await client.pull(name("bearer-password"))
        #expect(right.status == 0, "\(right)")
    }

    @Test func identityTokensFromAHelper() async throws {
        try client.write(".docker/config.json", #"{"credHelpers": {"127.0.0.1:\#(registry.port)": "test"}}"#)
        let script =
            "#!/bin/sh\nread -r server; echo \"$1 $server\" >>\"$HOME/asked\"; echo '{\"Username\": \"<token>\", \"Secret\": \"refresh+me\"}'\n"
        try client.write("bin/docker-credential-test", script, isExecutable: true)
        let outcome = try await client.pull(name("bearer-identity"))
        #expect(outcome.status == 0, "\(outcome)")
        #expect(try String(contentsOfFile: client.home + "/asked", encoding: .utf8) == "get 127.0.0.1:\(registry.port)\n")
        let asked = try #require(registry.requests("/token/bearer-identity").first)
        #expect(asked.method == "POST" && asked.body.contains("grant_type=refresh_token") && asked.authorization == nil)
    }

    @Test func helpersThatFail() async throws {
        try client.write(".docker/config.json", #"{"credsStore": "test"}"#)
        let missing = try await client.pull(name("basic"))
        #expect(missing.error.contains("the credential helper docker-credential-test failed: it is not installed"), "\(missing)")
        try client.write("bin/docker-credential-test", "#!/bin/sh\necho broken; exit 3\n", isExecutable: true)
        let broken = try await client.pull(name("basic"))
        #expect(broken.error.contains("exit status 3, \"broken"), "\(broken)")
        try client.write("bin/docker-credential-test", "#!/bin/sh\necho credentials not found in native keychain; exit 1\n", isExecutable: true)
        let none = try await client.pull(name("basic"))
        #expect(none.error.contains("gives nobody access to basic"), "\(none)")
    }

    @Test func credentialsStayWithTheirRegistry() async throws {
        let outcome = try await client.pull(name("bearer-redirect-away"))
        #expect(outcome.status == 0, "\(outcome)")
        let elsewhere = registry.requests("/storage/").filter { $0.host == "127.0.0.2:\(registry.port)" }
        #expect(!elsewhere.isEmpty)
        #expect(elsewhere.allSatisfy { $0.authorization == nil })
        #expect(registry.requests("/v2/bearer-redirect-away/blobs/").contains { $0.authorization?.hasPrefix("Bearer good-") ?? false })
    }

    // MARK: Encryption

    @Test func nothingGoesFromHTTPSToHTTP() async throws {
        let secured = try HostileRegistry.secured.get()
        let outcome = try await client.pull("127.0.0.1:\(secured.port)/redirect-away")
        #expect(outcome.status == 1)
        #expect(outcome.error.contains("redirects from HTTPS to plain HTTP on 127.0.0.2:\(secured.port)"), "\(outcome)")
    }

    @Test func tokenServersMustEncryptToo() async throws {
        let secured = try HostileRegistry.secured.get()
        let authority = "0.0.0.0:\(secured.port)"
        try client.write(
            ".config/containers/certs.d/\(authority)/ca.crt", try String(contentsOfFile: Certificates.directory + "/ca.crt", encoding: .utf8))
        let outcome = try await client.pull("\(authority)/bearer-plain")
        #expect(outcome.status == 1)
        #expect(outcome.error.contains("sent unencrypted to \(authority), which is refused"), "\(outcome)")
    }

    @Test func plainHTTPIsForLoopbackAndTheInsecure() async throws {
        // On Linux this address leads to loopback, but it isn't loopback by name.
        let outside = "0.0.0.0:\(registry.port)/good"
        let refused = try await client.pull(outside)
        #expect(refused.status == 1)
        #expect(refused.error.contains("0.0.0.0:\(registry.port) does not speak HTTPS: use --insecure"), "\(refused)")
        let allowed = try await client.pull("--insecure", outside)
        #expect(allowed.status == 0, "\(allowed)")
    }

    // MARK: Proxies

    @Test(arguments: ["HTTP_PROXY", "http_proxy"]) func proxiesForHTTP(variable: String) async throws {
        var client = client
        client.environment[variable] = "http://user:word@127.0.0.1:\(registry.port)"
        let outcome = try await client.pull("--insecure", "registry.invalid:5000/good/\(variable.lowercased())")
        #expect(outcome.status == 0, "\(outcome)")
        let asked = registry.requests("http://registry.invalid:5000/v2/good/\(variable.lowercased())/")
        #expect(!asked.isEmpty && asked.allSatisfy { $0.proxy != nil && $0.authorization == nil })
    }

    @Test func proxiesForHTTPS() async throws {
        let secured = try HostileRegistry.secured.get()
        var client = client
        let authority = "0.0.0.0:\(secured.port)"
        try client.write(
            ".config/containers/certs.d/\(authority)/ca.crt", try String(contentsOfFile: Certificates.directory + "/ca.crt", encoding: .utf8))
        client.environment["HTTPS_PROXY"] = "http://127.0.0.1:\(registry.port)"
        let through = try await client.pull("\(authority)/good/through")
        #expect(through.status == 0, "\(through)")
        let tunnels = registry.requests(authority).filter { $0.method == "CONNECT" }.count
        #expect(tunnels > 0)
        client.environment["NO_PROXY"] = "example.org,0.0.0.0"
        let around = try await client.pull("\(authority)/good/around")
        #expect(around.status == 0, "\(around)")
        #expect(registry.requests(authority).filter { $0.method == "CONNECT" }.count == tunnels)
    }
}
