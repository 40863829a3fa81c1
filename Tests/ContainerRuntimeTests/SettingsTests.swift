// Defaults of the host and of a container's annotations.
import FileServer
import OCI
import Testing
import Wire

@testable import ContainerRuntime

@Suite struct SettingsTests {
    private func settings(_ text: String) throws -> Settings {
        var settings = Settings()
        try JSONDocument.decode(Array(text.utf8), name: "config.toml") { value throws(FieldError) in try settings.apply(JSONObject(value)) }
        return settings
    }

    private func plan(_ settings: Settings, _ annotations: String = "{}", resources: String = "{}") throws -> BundlePlan {
        let text = """
            {"ociVersion": "1.2.0", "root": {"path": "r"}, "process": {"args": ["sh"], "cwd": "/"}, "annotations": \(annotations), "linux": {"resources": \(resources)}}
            """
        return try BundlePlan(RuntimeSpecification(json: Array(text.utf8), name: "config.json"), for: "one", in: "/b", settings)
    }

    @Test func theFileSetsDefaults() throws {
        let found = try settings(#"{"vcpus": 2, "memory": "1g", "kernel": "/k", "cache": "always", "annotations": ["vcpus"]}"#)
        #expect(found.cpus == 2 && found.memory == 1 << 30 && found.kernel == "/k" && found.cache == .always && found.annotations == ["vcpus"])
        #expect(try settings(#"{"memory": 40000000}"#).memory == 40 << 20)
        let plan = try plan(found)
        #expect(plan.cpus == 2 && plan.memory == 1 << 30 && plan.settings.cache == .always)
        guard case .run(let options) = try RunOptions.parse(["image"], found),
            case .run(let own) = try RunOptions.parse(["-m", "64m", "image"], found)
        else {
            throw ContainerError.noCommand
        }
        #expect(options.memory == 1 << 30 && options.cpus == 2 && options.kernel == "/k" && options.cache == .always)
        #expect(own.memory == 64 << 20 && own.cpus == 2)
    }

    @Test func whatAContainerIsGivenComesFirst() throws {
        let host = try settings(#"{"vcpus": 2, "memory": "1g"}"#)
        let own = try plan(host, #"{"io.swiftlet.vcpus": "3", "io.swiftlet.memory": "256m", "io.swiftlet.cache": "never", "org.example": "x"}"#)
        #expect(own.cpus == 3 && own.memory == 256 << 20 && own.settings.cache == .never)
        let limited = try plan(host, #"{"io.swiftlet.memory": "256m"}"#, resources: #"{"memory": {"limit": 134217728}, "cpu": {"quota": 400000}}"#)
        #expect(limited.memory == 128 << 20 && limited.cpus == 4)
    }

    @Test(arguments: [
        (#"{"vcpus": 0}"#, "vcpus \"0\" is not from 1 to 64"), (#"{"vcpus": true}"#, "vcpus has the wrong type"),
        (#"{"memory": "1"}"#, "memory \"1\" is no size"), (#"{"kernel": "k"}"#, "kernel \"k\" is no absolute path"),
        (#"{"cache": "often"}"#, "cache \"often\" is none of never, auto and always"), (#"{"runtime": {}}"#, "runtime is no setting"),
        (#"{"annotations": ["root"]}"#, "annotations names \"root\""),
    ])
    func mistakesInTheFileAreNamed(text: String, sentence: String) {
        do {
            _ = try settings(text)
            Issue.record("it was taken")
        } catch { #expect("\(error)".contains(sentence), "\(error)") }
    }

    @Test(arguments: [
        (#"{"io.swiftlet.kernel": "/k"}"#, "io.swiftlet.kernel is not allowed on this host"),
        (#"{"io.swiftlet.vcpus": "x"}"#, "io.swiftlet.vcpus \"x\""),
        (#"{"io.swiftlet.root": "x"}"#, "there is no io.swiftlet.root"),
    ])
    func annotationsThatCannotBeAreNamed(annotations: String, sentence: String) {
        do {
            _ = try plan(Settings(), annotations)
            Issue.record("it was taken")
        } catch { #expect("\(error)".hasPrefix("config.json: annotations: ") && "\(error)".contains(sentence), "\(error)") }
    }
}
