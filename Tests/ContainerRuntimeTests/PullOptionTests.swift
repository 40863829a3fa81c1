import ContainerRuntime
import OCI
import Testing
import Wire

private func parse(_ arguments: String...) throws -> PullOptions? { try PullOptions.parse(arguments.map { Text($0) }) }

@Suite struct PullOptionTests {
    @Test(arguments: [
        (["nginx"], ["pull", "--", "docker.io/library/nginx:latest"]),
        (["-q", "localhost:5000/app:1"], ["pull", "--quiet", "--", "localhost:5000/app:1"]),
        (
            ["nginx", "--platform", "aarch64", "--insecure"],
            ["pull", "--platform=linux/arm64", "--insecure", "--", "docker.io/library/nginx:latest"]
        ),
        (["--platform=linux/arm/v7", "--quiet", "a/b"], ["pull", "--platform=linux/arm/v7", "--quiet", "--", "docker.io/a/b:latest"]),
    ])
    func wordsForTheRegistryClient(arguments: [String], expected: [String]) throws {
        #expect(try PullOptions.parse(arguments.map { Text($0) })?.registryArguments == expected)
    }

    @Test(
        arguments: [
            ([], "no image"), (["a", "b"], "\"b\" is too many"), (["--platform", "x/y/z/a", "b"], "linux/arm64"),
            (["--nothing", "a"], "unknown option --nothing"), (["a", "--platform"], "needs a value"),
        ] as [([String], String)]) func mistakes(arguments: [String], sentence: String)
    {
        do {
            _ = try PullOptions.parse(arguments.map { Text($0) })
            Issue.record("accepted")
        } catch {
            #expect(error.description.contains(sentence))
            guard case .usage(_, command: "swiftlet pull") = error else { return _ = Issue.record("\(error)") }
        }
    }

    @Test func namesMustBeNames() {
        #expect(throws: ContainerError.imageName(.invalidName("UPPER", problem: "repository name (library/UPPER) must be lowercase"))) {
            try parse("UPPER")
        }
    }

    @Test func helpIsAskedFor() throws {
        #expect(try parse("--help") == nil)
        #expect(try parse("a", "--help") == nil)
    }
}
