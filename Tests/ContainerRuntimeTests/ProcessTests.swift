import OCI
import Testing
import Wire

@testable import ContainerRuntime

/// The rules of `docker run`, one case each.
@Suite struct ContainerProcessTests {
    private var options = RunOptions(image: "image")
    private var image = ImageConfiguration.Process()

    init() { image.command = ["sh"] }

    private func process(user: [Text] = []) throws -> ContainerProcess {
        try ContainerProcess(options, image: image, userEnvironment: user, hostname: "box")
    }

    private static let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    @Test(
        arguments: [
            (nil, ["sh"], nil, [], ["sh"]),
            (nil, ["sh"], nil, ["ls", "-l"], ["ls", "-l"]),
            (["/entry"], ["arg"], nil, [], ["/entry", "arg"]),
            (["/entry"], ["arg"], nil, ["x"], ["/entry", "x"]),
            (["/entry"], ["arg"], "mine", [], ["mine"]),
            (["/entry"], ["arg"], "mine", ["x"], ["mine", "x"]),
            (["/entry"], ["arg"], "", ["x"], ["x"]),
            (["/entry"], nil, nil, [], ["/entry"]),
            ([], ["sh"], nil, [], ["sh"]),
        ] as [([String]?, [String]?, String?, [String], [String])])
    mutating func arguments(entrypoint: [String]?, command: [String]?, override: String?, words: [String], expected: [String]) throws {
        image.entrypoint = entrypoint
        image.command = command
        options.entrypoint = override.map { Text($0) }
        options.command = words.map { Text($0) }
        #expect(try process().arguments.map(\.string) == expected)
    }

    @Test(arguments: [(nil, nil, nil), (["/entry"], ["arg"], ""), ([], [], nil)] as [([String]?, [String]?, String?)])
    mutating func somethingMustRun(entrypoint: [String]?, command: [String]?, override: String?) {
        image.entrypoint = entrypoint
        image.command = command
        options.entrypoint = override.map { Text($0) }
        #expect(throws: ContainerError.noCommand) { try process() }
    }

    @Test func theDefaultEnvironment() throws {
        #expect(try process().environment.map(\.string) == [Self.path, "HOSTNAME=box"])
    }

    @Test mutating func theEnvironmentsAreMerged() throws {
        options.terminal = true
        image.environment = ["PATH=/image", "A=image", "B=image", "GONE=image"]
        let merged = try process(user: ["A=first", "A=user", "C=", "GONE", "TERM=dumb"])
        #expect(merged.environment.map(\.string) == ["PATH=/image", "HOSTNAME=box", "TERM=dumb", "A=user", "C=", "B=image"])
    }

    @Test mutating func hugeEnvironmentsAreRefused() {
        image.environment = (0..<5000).map { "V\($0)=" }
        #expect(throws: ContainerError.tooManyVariables(5000)) { try process() }
    }

    @Test mutating func names() throws {
        options.environment = ["A", "B=1", "MISSING"]
        let entries = try ContainerProcess.userEnvironment(options, files: [("f", Array("B=0\nA\nNONE".utf8))]) { $0 == "A" ? "here" : nil }
        #expect(entries == ["B=0", "A=here", "A=here", "B=1", "MISSING"])
    }

    @Test(arguments: [("", nil, "/"), ("/srv", nil, "/srv"), ("srv", nil, "/srv"), ("/srv", "/tmp", "/tmp")] as [(String, String?, String)])
    mutating func workingDirectory(ofImage: String, given: String?, expected: String) throws {
        image.workingDirectory = ofImage
        options.workingDirectory = given.map { Text($0) }
        #expect(try process().workingDirectory.string == expected)
    }

    @Test(arguments: [("", nil, ""), ("www:www", nil, "www:www"), ("www", "0", "0")] as [(String, String?, String)])
    mutating func user(ofImage: String, given: String?, expected: String) throws {
        image.user = ofImage
        options.user = given.map { Text($0) }
        #expect(try process().user.string == expected)
    }

    @Test(arguments: [("", nil, 15), ("SIGQUIT", nil, 3), ("37", nil, 37), ("SIGQUIT", 2, 2)] as [(String, UInt8?, UInt8)])
    mutating func stopSignal(ofImage: String, given: UInt8?, expected: UInt8) throws {
        image.stopSignal = ofImage
        options.stopSignal = given
        #expect(try process().stopSignal == expected)
    }

    @Test mutating func nonsenseOfTheImageIsExplained() {
        image.stopSignal = "SIGFOO"
        #expect(throws: ContainerError.imageConfiguration(field: "stop signal", value: "SIGFOO", remedy: "give --stop-signal")) { try process() }
        image.stopSignal = ""
        image.command = ["a\0b"]
        #expect(throws: ContainerError.self) { try process() }
    }
}
