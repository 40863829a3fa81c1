// -v HOST:CONTAINER[:OPTIONS] and --mount type=bind,…, as Docker understands them.
import AgentProtocol
public import Wire

/// A directory or a file of the host that the container sees.
public struct BindMount: Equatable, Sendable {
    /// As the user wrote it.
    public var source: Text
    /// Absolute.
    public var destination: Text
    public var isReadOnly: Bool
    /// Whether a directory is made where there is nothing.
    public var makesSource: Bool
    /// Known when it has been opened.
    public var isFile = false

    public init(source: Text, destination: Text, isReadOnly: Bool, makesSource: Bool) {
        self.source = source
        self.destination = destination
        self.isReadOnly = isReadOnly
        self.makesSource = makesSource
    }

    // MARK: -v

    /// What changes nothing here: labels of a host without SELinux, consistency as on macOS, and what is the case anyway.
    private static let idleOptions: Set<String> = ["rw", "z", "Z", "cached", "delegated", "consistent", "private", "rprivate", "nocopy"]
    private static let propagations: Set<String> = ["shared", "rshared", "slave", "rslave"]
    private static let propagationProblem = "what is mounted later does not pass between a host and a virtual machine: leave out"

    static func parse(volume: Text, or wrong: (String) -> ContainerError) throws(ContainerError) -> BindMount {
        let fields = volume.bytes.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false).map { Array($0) }
        guard (2...3).contains(fields.count) else {
            throw wrong(
                fields.count == 1 ? "volumes without a directory of the host do not exist here: write HOST:CONTAINER" : "write HOST:CONTAINER[:ro]")
        }
        guard let first = fields[0].first, first == UInt8(ascii: "/") || first == UInt8(ascii: ".") else {
            throw wrong("named volumes do not exist here: give a directory of the host, beginning with / or ./")
        }
        var mount = BindMount(
            source: Text(bytes: fields[0]) ?? "", destination: try destination(fields[1], or: wrong), isReadOnly: false, makesSource: true)
        for option in fields.count == 3 ? String(decoding: fields[2], as: UTF8.self).split(separator: ",").map(String.init) : [] {
            if option == "ro" {
                mount.isReadOnly = true
            } else if propagations.contains(option) {
                throw wrong("\(propagationProblem) \"\(option)\"")
            } else if !idleOptions.contains(option) {
                throw wrong("there is no option \"\(option)\": use ro or rw")
            }
        }
        return mount
    }

    private static func destination(_ path: [UInt8], or wrong: (String) -> ContainerError) throws(ContainerError) -> Text {
        guard path.first == UInt8(ascii: "/"), path.contains(where: { $0 != UInt8(ascii: "/") }), let text = Text(bytes: path) else {
            throw wrong("the container's path must be an absolute one below /")
        }
        return text
    }

    // MARK: --mount

    /// What `--mount` asks for.
    enum Parsed {
        case bind(BindMount)
        case temporary(MountSpec)
    }

    static func parse(mount: Text, or wrong: (String) -> ContainerError) throws(ContainerError) -> Parsed {
        var fields: [String: String] = [:]
        for field in mount.string.split(separator: ",", omittingEmptySubsequences: false) {
            let parts = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            let names = ["src": "source", "dst": "target", "destination": "target", "ro": "readonly"]
            fields[names[parts[0]] ?? parts[0]] = parts.count == 2 ? parts[1] : "true"
        }
        func take(_ name: String) -> String? { fields.removeValue(forKey: name) }
        let type = take("type") ?? "volume"
        let target = try destination(Array((take("target") ?? "").utf8), or: wrong)
        let isReadOnly: Bool
        switch take("readonly") {
        case nil, "false", "0": isReadOnly = false
        case "true", "1": isReadOnly = true
        case let other?: throw wrong("readonly must be true or false, not \"\(other)\"")
        }
        let result: Parsed
        switch type {
        case "bind":
            guard let source = take("source"), !source.isEmpty else { throw wrong("a bind needs source=, a path of the host") }
            if let propagation = take("bind-propagation"), propagations.contains(propagation) {
                throw wrong("\(propagationProblem) \"bind-propagation=\(propagation)\"")
            }
            result = .bind(BindMount(source: Text(source), destination: target, isReadOnly: isReadOnly, makesSource: false))
        case "tmpfs":
            var options = isReadOnly ? ["ro"] : []
            if let size = take("tmpfs-size") { options.append("size=" + size) }
            if let mode = take("tmpfs-mode") { options.append("mode=" + mode) }
            let list = options.isEmpty ? "" : ":" + options.joined(separator: ",")
            result = .temporary(try TemporaryMount.parse(Text(target.string + list), or: wrong))
        case "volume": throw wrong("named volumes do not exist here: give type=bind or type=tmpfs")
        default: throw wrong("there is no type \"\(type)\": use bind or tmpfs")
        }
        if let unknown = fields.keys.sorted().first { throw wrong("a mount of type \(type) has no field \"\(unknown)\"") }
        return result
    }
}
