import Foundation
import Testing

@testable import OCI

private let digest = "sha256:" + String(repeating: "0f", count: 32)

@Suite struct ImageNameTests {
    @Test(arguments: [
        ("nginx", "docker.io/library/nginx:latest", "nginx:latest"),
        ("nginx:1.27", "docker.io/library/nginx:1.27", "nginx:1.27"),
        ("docker.io/nginx", "docker.io/library/nginx:latest", "nginx:latest"),
        ("index.docker.io/library/nginx", "docker.io/library/nginx:latest", "nginx:latest"),
        ("team/app", "docker.io/team/app:latest", "team/app:latest"),
        ("library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
        ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
        ("localhost:5000/team/app:v1", "localhost:5000/team/app:v1", "localhost:5000/team/app:v1"),
        ("[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest"),
        ("[2001:db8::1]/a", "[2001:db8::1]/a:latest", "[2001:db8::1]/a:latest"),
        ("192.168.0.1/a__b/c-d.e", "192.168.0.1/a__b/c-d.e:latest", "192.168.0.1/a__b/c-d.e:latest"),
        ("HOST/a", "HOST/a:latest", "HOST/a:latest"),
        ("docker.io/foo.bar/x", "docker.io/foo.bar/x:latest", "docker.io/foo.bar/x:latest"),
        ("docker.io/localhost/x", "docker.io/localhost/x:latest", "docker.io/localhost/x:latest"),
        ("nginx@" + digest, "docker.io/library/nginx@" + digest, "nginx@" + digest),
        ("h:1/a:b@" + digest, "h:1/a:b@" + digest, "h:1/a:b@" + digest),
        ("a--b/c", "docker.io/a--b/c:latest", "a--b/c:latest"), ("x:_", "docker.io/library/x:_", "x:_"),
        ("foo:5000", "docker.io/library/foo:5000", "foo:5000"),
    ])
    func namesAreCompletedAsDockerDoes(text: String, canonical: String, familiar: String) throws {
        let name = try ImageName(text)
        #expect(name.canonical == canonical)
        #expect(name.familiar == familiar)
        #expect(try ImageName(canonical) == name)
        #expect(try ImageName(familiar) == name)
    }

    @Test(arguments: [
        ("", "it is empty"), ("Nginx", "repository name (library/Nginx) must be lowercase"),
        ("h.io/a/B:1", "repository name (a/B) must be lowercase"), (":tag", "the repository is missing"), ("h.io/", "the repository is missing"),
        ("a:", "the tag after \":\" is missing"), ("a:-", "the tag \"-\" is not"), ("a:b:c", "the tag \"b:c\" is not"), ("a@", "\"\" is no digest"),
        ("a@sha256:00", "\"sha256:00\" is no digest"), ("a@sha512:00", "the digest \"sha512:00\" uses an algorithm other than sha256"),
        ("a@\(digest)@\(digest)", "\"\(digest)@"), ("a//b", "the repository \"a//b\" is not made of"), ("/a", "the repository \"/a\" is not"),
        ("a/", "the repository \"a/\" is not"), ("a..b", "the repository"), ("a___b", "the repository"), ("a._b", "the repository"),
        ("-a", "the repository"), ("a-", "the repository"), (".", "the repository"), ("..", "the repository"), ("../a", "\"..\" is no registry"),
        ("a b", "the repository"), ("é", "the repository"), ("a\u{0}", "the repository"), ("[::1/a", "\"[::1\" is no registry"),
        ("[]/a", "the repository \"[]/a\" is not"), ("[]:1/a", "\"[]:1\" is no registry"), ("[::g]/a", "\"[::g]\" is no registry"),
        ("[::1]x/a", "\"[::1]x\" is no registry"),
        ("a:x/b", "\"a:x\" is no registry"), ("a:/b", "\"a:\" is no registry"), ("a:0/b", "the port of \"a:0\" is not between"),
        ("a:65536/b", "the port of"), ("-a.io/b", "\"-a.io\" is no registry"), ("a..io/b", "\"a..io\" is no registry"),
        ("http://a.io/b", "\"http:\" is no registry"), (String(repeating: "a", count: 64), "64 hexadecimal digits are an image's ID"),
        ("a:" + String(repeating: "t", count: 129), "its tag has more than 128"),
        (String(repeating: "g", count: 250), "its repository has more than 255"),
        (String(repeating: "h.", count: 128) + "h/a", "its registry has more than 255"),
    ])
    func everythingElseIsRefusedWithASentence(text: String, problem: String) {
        do {
            let name = try ImageName(text)
            Issue.record("\(name.canonical)")
        } catch { #expect(error.description.contains("is no image name: " + problem), "\(error)") }
    }

    @Test func theLongestTagIsATag() throws {
        let tag = String(repeating: "t", count: 128)
        #expect(try ImageName("a:" + tag).tag == tag)
    }

    @Test func otherTagsAndDigests() throws {
        let name = try ImageName("a:1")
        #expect(name.with(tag: "2")?.familiar == "a:2")
        #expect(name.with(digest: try Digest(digest))?.familiar == "a@" + digest)
        #expect(name.with()?.familiar == "a:latest")
        #expect(name.with(tag: "../x") == nil)
    }

    @Test func spellingsOfOneName() {
        #expect(ImageName.areEqual("busybox", "docker.io/library/busybox:latest"))
        #expect(ImageName.areEqual("Not/A:Name:", "Not/A:Name:"))
        #expect(!ImageName.areEqual("busybox", "busybox:1"))
        #expect(!ImageName.areEqual("Not/A:Name:", "busybox"))
    }

    /// The distribution project's own expressions, put together as its ParseNormalizedNamed does, must agree on what is a name, and which.
    @Test func agreesWithTheGrammarOnSpoiltNames() throws {
        let component = "[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*"
        let label = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
        let host = "(?:\(label)(?:\\.\(label))*|\\[[a-fA-F0-9:]+\\])"
        let grammar = try NSRegularExpression(
            pattern:
                "\\A(\(host)(?::([0-9]+))?)/(\(component)(?:/\(component))*)(?::([A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(sha256:[a-f0-9]{64}))?\\z")
        func expected(_ text: String) -> String? {
            if text.range(of: "\\A[a-f0-9]{64}\\z", options: .regularExpression) != nil { return nil }
            var (domain, rest) = ("docker.io", text)
            if let slash = text.firstIndex(of: "/") {
                let first = String(text[..<slash])
                if first.contains(".") || first.contains(":") || first == "localhost" || first.lowercased() != first {
                    (domain, rest) = (first, String(text[text.index(after: slash)...]))
                }
            }
            if domain == "index.docker.io" { domain = "docker.io" }
            if domain == "docker.io" && !rest.contains("/") { rest = "library/" + rest }
            let whole = domain + "/" + rest
            guard let match = grammar.firstMatch(in: whole, range: NSRange(whole.startIndex..., in: whole)) else { return nil }
            func part(_ number: Int) -> String? { Range(match.range(at: number), in: whole).map { String(whole[$0]) } }
            // Ours alone: a port is a port.
            if let port = part(2), !(1...65535).contains(Int(port) ?? 0) { return nil }
            return part(4) == nil && part(5) == nil ? whole + ":latest" : whole
        }

        let seeds = [
            "nginx:1.27", "localhost:5000/team/app__b:v1@" + digest, "[::1]:80/a-b/c.d", "index.docker.io/library/a", "Host/a.b_c:T", "a.io/b",
            String(repeating: "0f", count: 32),
        ].map { Array($0.unicodeScalars) }
        let alphabet = Array("aAzZ09._-:/@[]é%".unicodeScalars)
        var state: UInt64 = 3
        func random(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        var accepted = 0
        for _ in 0..<20_000 {
            var scalars = seeds[random(seeds.count)]
            for _ in 0..<random(4) {
                switch random(3) {
                case 0: scalars[random(scalars.count)] = alphabet[random(alphabet.count)]
                case 1 where scalars.count > 1: scalars.remove(at: random(scalars.count))
                default: scalars.insert(alphabet[random(alphabet.count)], at: random(scalars.count))
                }
            }
            var text = ""
            text.unicodeScalars.append(contentsOf: scalars)
            let name = try? ImageName(text)
            #expect(name?.canonical == expected(text), "\(text)")
            if name != nil { accepted += 1 }
        }
        #expect(accepted > 5000)
    }
}
