// The options of `swiftlet pull`.
public import OCI
public import Wire

private enum PullOption: Equatable, Sendable {
    case platform, quiet, insecure, help

    static let parser = OptionParser<PullOption>(
        command: "swiftlet pull",
        definitions: [
            .init(.platform, "platform", .required("OS/ARCH[/VARIANT]"), "Take the image for this platform (linux/amd64)"),
            .init(.quiet, "quiet", short: "q", .none, "Print only the image's name"),
            .init(.insecure, "insecure", .none, "Allow plain HTTP and certificates that nobody vouches for"),
            .init(.help, "help", .none, "Show this help"),
        ])
}

public struct PullOptions: Equatable, Sendable {
    public var name: ImageName
    public var platform: Platform?
    public var isQuiet = false
    public var isInsecure = false

    public init(name: ImageName) { self.name = name }

    public static var help: String {
        """
        Usage: swiftlet pull [OPTIONS] NAME[:TAG|@DIGEST]

        Gets an image from a registry into the store. What is there already is not fetched again.

        Options:
        \(PullOption.parser.help)
        Credentials are those of docker, podman and skopeo (~/.docker/config.json, REGISTRY_AUTH_FILE,
        $XDG_RUNTIME_DIR/containers/auth.json). Certificates are looked for in
        /etc/containers/certs.d/HOST[:PORT], /etc/docker/certs.d and ~/.config/containers/certs.d. A registry on
        loopback may speak plain HTTP.

        The exit status is 0; 1 if the image cannot be had; 125 if an option is wrong.

        """
    }

    /// Understands the words after `swiftlet pull`; nil: the help is wanted.
    public static func parse(_ arguments: [Text]) throws(ContainerError) -> PullOptions? {
        let parser = PullOption.parser
        var (parsed, operands) = try parser.parse(arguments)
        guard let first = operands.first else {
            if parsed.contains(where: { $0.key == .help }) { return nil }
            throw parser.usage("no image: name one")
        }
        // Unlike those of `run`, the options may come behind the name, as with Docker: no command follows that could have some of its own.
        let (later, rest) = try parser.parse(Array(operands.dropFirst()))
        parsed += later
        if parsed.contains(where: { $0.key == .help }) { return nil }
        guard rest.isEmpty else { throw parser.usage("one image at a time: \"\(rest[0].string)\" is too many") }

        let name: ImageName
        do throws(OCIError) { name = try ImageName(first.string) } catch { throw .imageName(error) }
        var options = PullOptions(name: name)
        for option in parsed {
            switch option.key {
            case .quiet: options.isQuiet = true
            case .insecure: options.isInsecure = true
            case .help: break
            case .platform:
                let text = option.value?.string ?? ""
                guard let platform = Platform(name: text) else {
                    throw parser.usage("the option \(option.spelling) has the value \"\(text)\": write it as linux/arm64 or linux/arm/v7")
                }
                options.platform = platform
            }
        }
        return options
    }

    /// The words for `swiftlet-registry`, whose main.swift describes them.
    public var registryArguments: [String] {
        ["pull"] + (platform.map { ["--platform=\($0)"] } ?? []) + (isQuiet ? ["--quiet"] : []) + (isInsecure ? ["--insecure"] : [])
            + ["--", name.canonical]
    }
}
