// Defaults for all containers of this host (/etc/swiftlet/config.toml), and for one of an engine's, by its annotations (docs/adr/0020).
import CLinux
import FileServer
import Glibc
import LinuxSystem
import OCI
public import Wire

/// What a container gets that doesn't ask for anything else.
public struct Settings: Equatable, Sendable {
    public var cpus: UInt8 = 1
    /// In bytes.
    public var memory = RunOptions.defaultMemory
    /// Nil: the installation's.
    public var kernel: Text?
    /// How long a guest believes what it was told of the host's files.
    var cache = CacheMode.auto
    /// Which of these a container's annotations may set. Not the kernel, unless the host's owner says so: who may start containers may not therefore choose files of the host.
    /// A list, not a set: every start makes one of these, and the first set of a process costs 140,000 instructions.
    var annotations = ["vcpus", "memory", "cache"]

    public init() {}

    static let path: Text = "/etc/swiftlet/config.toml"
    static let annotationPrefix = "io.swiftlet."

    /// Of the file that SWIFTLET_CONFIG names, or of the usual one, which may be missing.
    public static func load(_ surroundings: Surroundings) throws(ContainerError) -> Settings {
        let chosen = surroundings.variable("SWIFTLET_CONFIG").flatMap { $0.bytes.isEmpty ? nil : $0 }
        let path = chosen ?? Self.path
        let file: OwnedDescriptor
        do throws(SystemError) { file = try OwnedDescriptor.open(path: path.bytes, O_RDONLY | O_NONBLOCK) } catch {
            if chosen == nil, error.errno == ENOENT || error.errno == ENOTDIR { return Settings() }
            throw .file(what: "the configuration", error, remedy: chosen == nil ? "make it readable, or remove it" : "check SWIFTLET_CONFIG")
        }
        let json: [UInt8]
        do {
            let output = try OwnedDescriptor.memory(named: "swiftlet-configuration")
            let errors = try OwnedDescriptor.memory(named: "swiftlet-errors")
            let program = surroundings.installation.configurationReader
            let status = try ChildProcess(
                program, [program],
                descriptors: [(file.raw, STDIN_FILENO), (output.raw, STDOUT_FILENO), (errors.raw, STDERR_FILENO)]
            ).wait()
            guard status == 0 else {
                let words = String(decoding: try readAt(errors.raw, offset: 0, count: 1024), as: UTF8.self).split(separator: "\n").first
                throw ContainerError.container(
                    "\(path.string) is no configuration: \(words.map(String.init) ?? "swiftlet-config ended with status \(status)")")
            }
            json = try readAt(output.raw, offset: 0, count: Int(JSONDocument.sizeLimit))
        } catch let error as SystemError {
            throw .system(what: "the configuration \(path.string) cannot be read", error)
        } catch let error as ContainerError { throw error } catch { preconditionFailure("no other errors are thrown") }
        var settings = Settings()
        do throws(OCIError) {
            try JSONDocument.decode(json, name: path.string) { value throws(FieldError) in try settings.apply(JSONObject(value)) }
        } catch { throw .container(error.description) }
        return settings
    }

    // MARK: The file

    mutating func apply(_ object: JSONObject) throws(FieldError) {
        for member in object.members {
            switch member.name {
            case "vcpus", "memory", "kernel", "cache":
                let text: String
                switch member.value {
                case .string(let value): text = value
                case .integer(let value): text = "\(value)"
                default: throw .wrongType(member.name)
                }
                if let problem = set(member.name, text) { throw FieldError(path: member.name, problem: problem) }
            case "annotations":
                let names = try object.strings("annotations") ?? []
                for name in names where !["vcpus", "memory", "kernel", "cache"].contains(name) {
                    throw FieldError(path: "annotations", problem: " names \"\(name)\": there are vcpus, memory, kernel and cache")
                }
                annotations = names
            default: throw FieldError(path: member.name, problem: " is no setting: there are vcpus, memory, kernel, cache and annotations")
            }
        }
    }

    /// What is wrong with the value, continuing its name; nil: nothing.
    private mutating func set(_ name: String, _ text: String) -> String? {
        switch name {
        case "vcpus":
            guard let count = UInt8(text), (1...UInt8(RunOptions.maximumCPUs)).contains(count) else {
                return " \"\(text)\" is not from 1 to \(RunOptions.maximumCPUs)"
            }
            cpus = count
        case "memory":
            guard let size = Quantities.size(text), (RunOptions.minimumMemory...RunOptions.maximumMemory).contains(size) else {
                return " \"\(text)\" is no size from 32m to 1t"
            }
            memory = RunOptions.rounded(memory: size)
        case "kernel":
            guard text.hasPrefix("/"), !text.utf8.contains(0) else { return " \"\(text)\" is no absolute path" }
            kernel = Text(text)
        default:
            guard let mode = CacheMode(rawValue: text) else { return " \"\(text)\" is none of never, auto and always" }
            cache = mode
        }
        return nil
    }

    // MARK: Annotations

    /// The same with what a container's annotations say.
    func with(annotations: [String: String]) throws(ContainerError) -> Settings {
        var settings = self
        for (key, value) in annotations.sorted(by: { $0.key < $1.key }) where key.hasPrefix(Self.annotationPrefix) {
            let name = String(key.dropFirst(Self.annotationPrefix.count))
            guard ["vcpus", "memory", "kernel", "cache"].contains(name) else {
                throw .bundle(field: "annotations", problem: ": there is no \(key): there are vcpus, memory, kernel and cache")
            }
            guard self.annotations.contains(name) else {
                throw .bundle(field: "annotations", problem: ": \(key) is not allowed on this host: see annotations in \(Self.path.string)")
            }
            if let problem = settings.set(name, value) { throw .bundle(field: "annotations", problem: ": \(key)\(problem)") }
        }
        return settings
    }
}
