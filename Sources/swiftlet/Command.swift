// The subcommands.
import ContainerRuntime
import Glibc
import Wire

enum Command {
    static func run(_ arguments: [Text], launched: UInt64) throws(ContainerError) {
        guard let word = arguments.first?.string else {
            throw .usage("no command: use 'swiftlet run IMAGE' to run a container", command: "swiftlet")
        }
        let rest = Array(arguments.dropFirst())
        switch word {
        case "run": try runContainer(rest, launched: launched)
        case "pull": try pull(rest)
        case "doctor": exit(try Doctor.run(rest, installation: Installation.current()) { Process.print($0) })
        case "--help", "-h", "help": Process.print(help)
        case "--version", "version": Process.print("swiftlet \(swiftletVersion)\n")
        default: throw unknown(word)
        }
    }

    private static func runContainer(_ arguments: [Text], launched: UInt64) throws(ContainerError) {
        switch try RunOptions.parse(arguments) {
        case .help: Process.print(RunOptions.help)
        case .run(let options):
            let surroundings = Surroundings(
                installation: try Installation.current(), environment: Process.environment, launched: launched)
            try Run.start(options, in: surroundings)
        }
    }

    private static func pull(_ arguments: [Text]) throws(ContainerError) {
        guard let options = try PullOptions.parse(arguments) else { return Process.print(PullOptions.help) }
        try RegistryProcess.replaceThisProcess(options, try Installation.current(), environment: Process.environment)
    }

    private static let help = """
        Usage: swiftlet COMMAND

        Runs OCI containers, each in a virtual machine of its own.

        Commands:
          run       Run a command in a container
          pull      Get an image from a registry
          doctor    Say whether this machine can run containers, and what is missing
          version   Show the version

        'swiftlet COMMAND --help' tells more about a command.

        """

    /// Docker's words that we don't have get a sentence of their own.
    private static func unknown(_ word: String) -> ContainerError {
        let advice: String
        switch word {
        case "push", "login", "logout", "search":
            advice = "Swiftlet only pulls; 'skopeo' does this, and 'swiftlet pull' uses the credentials of 'skopeo login' and 'docker login'"
        case "images", "image", "rmi", "tag", "load", "save", "import", "export", "history", "commit":
            advice = "Swiftlet stores no images: name a directory or archive in 'swiftlet run oci:DIR'"
        case "build", "buildx", "builder":
            advice = "build with another tool, such as 'buildah build', copy the result to oci:DIR and use 'swiftlet run oci:DIR'"
        case "ps", "exec", "logs", "stop", "kill", "rm", "start", "create", "inspect", "attach", "wait", "restart", "pause", "unpause",
            "stats", "top", "cp", "container", "update", "rename", "port", "diff", "events":
            advice = "a container lives as long as its 'swiftlet run': send that process a signal to end it"
        case "network", "volume", "compose", "system", "info", "context", "plugin", "swarm", "service", "stack", "node", "secret", "config":
            advice = "there are only 'swiftlet run' and 'swiftlet doctor'"
        default: return .usage("unknown command \"\(word)\"", command: "swiftlet")
        }
        return .usage("there is no command \"\(word)\" yet: \(advice)", command: "swiftlet")
    }
}
