// `swiftlet pull` from Debian's docker-registry, of images that umoci made and skopeo pushed.
import Foundation
import Testing

/// An OCI layout with images, made by umoci: `small`, and `derived` with one layer more.
private enum Layout {
    static let directory: String = {
        let path = Scratch.make("layout")
        do {
            try tool(
                "sh", "-euc",
                """
                cd "$0"
                mkdir -p one two
                head -c 2000000 /dev/urandom >one/random; echo hello >one/text; ln one/text one/link
                echo more >two/file
                umoci init --layout images
                umoci new --image images:small
                for part in one two; do tar -C $part -cf $part.tar .; umoci raw add-layer --image images:small $part.tar; done
                umoci config --image images:small --config.cmd /bin/true
                echo most >two/other; tar -C two -cf three.tar .
                umoci raw add-layer --image images:small --tag derived three.tar
                umoci config --image images:small --tag arm --architecture arm64
                """, path)
        } catch { fatalError("\(error)") }
        return path + "/images"
    }()
}

/// The registries of these tests, with the images in them.
private enum Registries {
    static let plain = Result { try DebianRegistry(.plain) }
    static let secured = Result { try DebianRegistry(.secured) }
    static let mutual = Result { try DebianRegistry(.mutual) }
    static let password = Result { try DebianRegistry(.password) }
}

private func push(_ image: String, to registry: DebianRegistry, _ name: String, _ more: String...) throws {
    let words = ["skopeo", "copy", "-q", "--insecure-policy", "--dest-tls-verify=false"] + more
    try tool(words + ["oci:\(Layout.directory):\(image)", "docker://127.0.0.1:\(registry.port)/\(name)"])
}

@Suite struct DebianRegistryTests {
    private let client = Client()

    /// The digest that skopeo sees.
    private func digest(_ name: String) throws -> String {
        try tool(["skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", "docker://\(name)"]).trimmingCharacters(in: .newlines)
    }

    @Test(arguments: ["oci", "v2s2"]) func bothFormatsArriveByteForByte(format: String) async throws {
        let registry = try Registries.plain.get()
        try push("small", to: registry, "formats/\(format):1", "--format", format)
        let name = "127.0.0.1:\(registry.port)/formats/\(format)"
        let outcome = try await client.pull("\(name):1")
        #expect(outcome.status == 0, "\(outcome)")
        #expect(outcome.output == "Digest: \(try digest("\(name):1"))\nStatus: Downloaded newer image for \(name):1\n\(name):1\n")
        #expect(outcome.error.hasPrefix("1: Pulling from formats/\(format)\n"))
        try tool(["sh", "-euc", "cd \"$0\"; for name in *; do echo \"$name  $name\"; done | sha256sum --quiet -c", client.store + "/blobs/sha256"])
        // skopeo's layouts know no other format than OCI's.
        if format != "oci" { return }
        // It reads the store and verifies every digest; umoci unpacks what it wrote.
        let copy = Scratch.make("copy")
        try tool(["skopeo", "copy", "-q", "--insecure-policy", "oci:\(client.store):\(name):1", "oci:\(copy)/images:copy"])
        try tool(["umoci", "raw", "unpack", "--image", "\(copy)/images:copy", "\(copy)/root"])
        #expect(try String(contentsOfFile: copy + "/root/link", encoding: .utf8) == "hello\n")
    }

    @Test func byDigest() async throws {
        let registry = try Registries.plain.get()
        try push("small", to: registry, "by/digest:1")
        let name = "127.0.0.1:\(registry.port)/by/digest"
        let digest = try digest("\(name):1")
        let outcome = try await client.pull("\(name)@\(digest)")
        #expect(outcome.output == "Digest: \(digest)\nStatus: Downloaded newer image for \(name)@\(digest)\n\(name)@\(digest)\n", "\(outcome)")
        let requests = registry.requests("by/digest").count
        let again = try await client.pull("\(name)@\(digest)")
        #expect(again.output.contains("Status: Image is up to date for"), "\(again)")
        #expect(registry.requests("by/digest").count == requests, "a digest that is in the store needs no registry")
        let missing = try await client.pull("\(name)@sha256:\(String(repeating: "0", count: 64))")
        #expect(missing.error.contains("does not have \(name)@sha256:000"), "\(missing)")
    }

    @Test func whatIsThereIsNotFetched() async throws {
        let registry = try Registries.plain.get()
        try push("small", to: registry, "shared/image:small")
        try push("derived", to: registry, "shared/image:derived")
        let name = "127.0.0.1:\(registry.port)/shared/image"
        func blobsFetched() -> Int { registry.requests("shared/image").count { $0.hasPrefix("GET") && $0.contains("/blobs/") } }
        let pushed = blobsFetched()
        #expect(try await client.pull("\(name):small").status == 0)
        #expect(blobsFetched() - pushed == 3)
        // Two layers are the same; a layer and a configuration are new.
        let derived = try await client.pull("\(name):derived")
        #expect(derived.error.components(separatedBy: "Already exists").count == 3, "\(derived)")
        #expect(blobsFetched() - pushed == 5)

        // Asked for again, a tag costs one request without a body.
        let before = registry.requests("shared/image").count
        let again = try await client.pull("\(name):derived")
        #expect(again.output.contains("Status: Image is up to date for \(name):derived"), "\(again)")
        #expect(Array(registry.requests("shared/image").dropFirst(before)) == ["HEAD /v2/shared/image/manifests/derived"])

        // The tag moves on.
        try push("small", to: registry, "shared/image:derived")
        let moved = try await client.pull("\(name):derived")
        #expect(moved.output.contains("Status: Downloaded newer image"), "\(moved)")
    }

    @Test func indexesOfSeveralPlatforms() async throws {
        let registry = try Registries.plain.get()
        let base = "127.0.0.1:\(registry.port)/multi/image"
        var entries: [String] = []
        for (tag, architecture) in [("arm", "arm64"), ("small", "amd64")] {
            try push(tag, to: registry, "multi/image:\(tag)")
            let digest = try digest("\(base):\(tag)")
            let size = try tool(["skopeo", "inspect", "--raw", "--tls-verify=false", "docker://\(base):\(tag)"]).utf8.count
            entries.append(
                #"{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "\#(digest)", "size": \#(size), "platform": {"os": "linux", "architecture": "\#(architecture)"}}"#
            )
        }
        let type = "application/vnd.oci.image.index.v1+json"
        let index = #"{"schemaVersion": 2, "mediaType": "\#(type)", "manifests": [\#(entries.joined(separator: ", "))]}"#
        try tool(
            [
                "curl", "-fsS", "-X", "PUT", "-H", "Content-Type: \(type)", "--data-binary", "@-",
                "http://127.0.0.1:\(registry.port)/v2/multi/image/manifests/all",
            ],
            input: index)
        let outcome = try await client.pull("\(base):all")
        #expect(outcome.status == 0, "\(outcome)")
        #expect(outcome.output.contains("Digest: \(try digest("\(base):all"))"))
        let amd = try digest("\(base):small").dropFirst(7)
        let arm = try digest("\(base):arm").dropFirst(7)
        #expect(client.blobs().contains(String(amd)) && !client.blobs().contains(String(arm)))
        #expect(try await client.pull("\(base):all", "--platform", "linux/arm64").status == 0)
        #expect(client.blobs().contains(String(arm)))
    }

    @Test func twoPullsAtOnce() async throws {
        let registry = try Registries.plain.get()
        try push("small", to: registry, "at/once:1")
        let name = "127.0.0.1:\(registry.port)/at/once:1"
        async let first = client.pull(name)
        async let second = client.pull(name)
        let outcomes = try await [first, second]
        #expect(outcomes.map(\.status) == [0, 0], "\(outcomes)")
        #expect(client.names() == [name])
        #expect(client.partials() == [:])
        let layers = registry.requests("at/once").filter { $0.hasPrefix("GET") && $0.contains("/blobs/") }
        #expect(Set(layers).count == layers.count, "no blob comes twice")
    }

    // MARK: Display

    @Test func barsFitTheTerminal() async throws {
        let registry = try Registries.plain.get()
        try push("small", to: registry, "bars/image:1")
        let name = "127.0.0.1:\(registry.port)/bars/image:1"
        let command = "stty cols 80 rows 24; exec '\(Client.swiftlet)' pull \(name)"
        let outcome = try await client.run(["/usr/bin/script", "-qec", command, "/dev/null"])
        #expect(outcome.status == 0, "\(outcome)")
        #expect(outcome.output.contains("\u{1B}[2A"), "two lines are drawn again: \(outcome)")
        #expect(outcome.output.contains(": Pull complete\u{1B}[K"))
        let lines = outcome.output.split(whereSeparator: { $0 == "\r\n" || $0 == "\n" || $0 == "\r" })
        let bare = lines.map { $0.replacingOccurrences(of: "\u{1B}\\[[0-9]*[A-Z]", with: "", options: .regularExpression) }
        #expect(bare.filter { !$0.hasPrefix("Digest") }.allSatisfy { $0.count < 80 }, "\(bare)")
    }

    @Test func quietPrintsTheNameOnly() async throws {
        let registry = try Registries.plain.get()
        try push("small", to: registry, "quiet/image:1")
        let outcome = try await client.pull("-q", "127.0.0.1:\(registry.port)/quiet/image:1")
        #expect(outcome.output == "127.0.0.1:\(registry.port)/quiet/image:1\n")
        #expect(outcome.error == "")
    }

    // MARK: TLS

    private func trust(_ authority: String, _ files: [String: String] = ["ca.crt": "ca.crt"]) throws {
        for (name, source) in files {
            try client.write(
                ".config/containers/certs.d/\(authority)/\(name)",
                try String(contentsOfFile: "\(Certificates.directory)/\(source)", encoding: .utf8))
        }
    }

    @Test func unknownAuthoritiesAreRefused() async throws {
        let registry = try Registries.secured.get()
        try push("small", to: registry, "tls/image:1")
        // Loopback by address, but not by name: the rules of any other host.
        let authority = "0.0.0.0:\(registry.port)"
        let refused = try await client.pull("\(authority)/tls/image:1")
        #expect(refused.status == 1)
        #expect(refused.error.contains("the certificate of \(authority) is not trusted"), "\(refused)")
        #expect(refused.error.contains("/etc/containers/certs.d/\(authority)/ca.crt"), "\(refused)")
        let insecure = try await client.pull("\(authority)/tls/image:1", "--insecure")
        #expect(insecure.status == 0, "\(insecure)")
        // As with Docker, loopback needs no authority.
        let loopback = try await client.pull("127.0.0.1:\(registry.port)/tls/image:1")
        #expect(loopback.status == 0, "\(loopback)")
    }

    @Test func authoritiesOfOneRegistry() async throws {
        let registry = try Registries.secured.get()
        try push("small", to: registry, "tls/trusted:1")
        let authority = "0.0.0.0:\(registry.port)"
        try trust(authority)
        let trusted = try await client.pull("\(authority)/tls/trusted:1")
        #expect(trusted.status == 0, "\(trusted)")
        // Another way to name the authority, for all hosts.
        var other = Client()
        other.environment["SSL_CERT_FILE"] = Certificates.directory + "/ca.crt"
        let variable = try await other.pull("\(authority)/tls/trusted:1")
        #expect(variable.status == 0, "\(variable)")
        other.environment["SSL_CERT_FILE"] = "/nonexistent"
        let nothing = try await other.pull("\(authority)/tls/trusted:1")
        #expect(nothing.error.contains("correct SSL_CERT_FILE"), "\(nothing)")
        // Where loopback's authority is named, it is checked.
        try trust("127.0.0.1:\(registry.port)", ["ca.crt": "client.crt"])
        let checked = try await client.pull("127.0.0.1:\(registry.port)/tls/trusted:1")
        #expect(checked.error.contains("is not trusted"), "\(checked)")
    }

    @Test func clientCertificates() async throws {
        let registry = try Registries.mutual.get()
        let authority = "0.0.0.0:\(registry.port)"
        try trust(authority)
        let without = try await client.pull("\(authority)/tls/image:1")
        #expect(without.status == 1, "\(without)")
        try trust(authority, ["client.cert": "client.crt"])
        let keyless = try await client.pull("\(authority)/tls/image:1")
        #expect(keyless.error.contains("client.cert needs client.key beside it"), "\(keyless)")
        try trust(authority, ["client.key": "client.key"])
        let with = try await client.pull("\(authority)/tls/image:1")
        // It gets as far as to be told that there is no such image.
        #expect(with.error.contains("does not have \(authority)/tls/image:1"), "\(with)")
    }

    // MARK: Passwords

    @Test(arguments: ["REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_RUNTIME_DIR", "HOME"]) func credentialsOfSkopeo(place: String) async throws {
        let registry = try Registries.password.get()
        let authority = "127.0.0.1:\(registry.port)"
        try push("small", to: registry, "private/\(place.lowercased()):1", "--dest-creds", "alice:secret:word")
        let image = "\(authority)/private/\(place.lowercased()):1"
        let anonymous = try await client.pull(image)
        #expect(anonymous.error.contains("gives nobody access to private/"), "\(anonymous)")

        var client = client
        let file =
            switch place {
            case "REGISTRY_AUTH_FILE": "any/file.json"
            case "DOCKER_CONFIG": "configuration/config.json"
            case "XDG_RUNTIME_DIR": "runtime/containers/auth.json"
            default: ".docker/config.json"
            }
        try client.write(file, "{}")
        try tool(
            ["skopeo", "login", "--tls-verify=false", "--authfile", "\(client.home)/\(file)", "-u", "alice", "--password-stdin", authority],
            input: "secret:word")
        switch place {
        case "REGISTRY_AUTH_FILE": client.environment[place] = "\(client.home)/\(file)"
        case "DOCKER_CONFIG": client.environment[place] = "\(client.home)/configuration"
        case "XDG_RUNTIME_DIR": client.environment[place] = "\(client.home)/runtime"
        default: break
        }
        let outcome = try await client.pull(image)
        #expect(outcome.status == 0, "\(outcome)")
    }
}
