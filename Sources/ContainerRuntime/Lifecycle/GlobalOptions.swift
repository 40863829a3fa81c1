// What engines say before a command's name, and where they look for its failure.
import Glibc
import LinuxSystem
import OCI
public import Wire

private enum GlobalOption: Equatable, Sendable {
    case root, log, logFormat, systemdCgroup, debug, rootless

    static let parser = OptionParser<GlobalOption>(
        command: "swiftlet",
        definitions: [
            .init(.root, "root", .required("DIR"), "Where containers are kept (/run/swiftlet)"),
            .init(.log, "log", .required("FILE"), "Append errors to this file"),
            .init(.logFormat, "log-format", .required("FORMAT"), "text or json (text)"),
            .init(.systemdCgroup, "systemd-cgroup", .none, "Have systemd make the containers' cgroups"),
            .init(.debug, "debug", .none, "Say more"),
            .init(.rootless, "rootless", .required("true|false|auto"), "Taken note of: who asks is seen anyway"),
        ])
}

/// Options before the command's name, as engines give them.
public struct GlobalOptions: Equatable, Sendable {
    public var root: Text?
    public var log: Text?
    public var logsJSON = false
    public var asksSystemd = false

    public init() {}

    /// Splits off what stands before the command. `words` begin with an option, or with the command.
    public static func parse(_ words: [Text]) throws(ContainerError) -> (options: GlobalOptions, rest: [Text]) {
        let (parsed, rest) = try GlobalOption.parser.parse(words)
        var options = GlobalOptions()
        for option in parsed {
            switch option.key {
            case .root: options.root = option.value
            case .log: options.log = option.value
            case .logFormat:
                switch option.value?.string {
                case "json": options.logsJSON = true
                case "text": options.logsJSON = false
                default:
                    throw GlobalOption.parser.usage(
                        "the option \(option.spelling) has the value \"\(option.value?.string ?? "")\": it is text or json")
                }
            case .systemdCgroup: options.asksSystemd = true
            case .debug, .rootless: break
            }
        }
        return (options, rest)
    }

    public static var help: String { parser.help }
    private static var parser: OptionParser<GlobalOption> { GlobalOption.parser }

    /// The log is there from the start, whatever comes to be in it.
    public func openLog() {
        if let log { _ = try? OwnedDescriptor.open(path: log.bytes, O_WRONLY | O_CREAT | O_APPEND, mode: 0o600) }
    }

    /// Where engines look for the reason of a failure.
    public func note(_ error: ContainerError) {
        guard let log, let file = try? OwnedDescriptor.open(path: log.bytes, O_WRONLY | O_CREAT | O_APPEND, mode: 0o600) else { return }
        let time = Instant.now.standardText
        let entry: JSONValue = .object(("level", "error"), ("msg", .string(error.description)), ("time", .string(time)))
        let text = JSONValue.string(error.description)
        guard let line = try? logsJSON ? entry.text(limit: 1 << 20) : text.text(limit: 1 << 20) else { return }
        let prefix = logsJSON ? "" : "time=\"\(time)\" level=error msg="
        try? writeAll(file.raw, Array(prefix.utf8) + line + [0x0A])
    }
}
