// The subcommands.
import ContainerRuntime
import Glibc
import LinuxSystem
import Wire

enum Command {
    static func run(_ arguments: [Text], launched: UInt64) throws(ContainerError) {
        guard let word = arguments.first?.string else {
            throw .usage("no command: use 'swiftlet run IMAGE' to run a container", command: "swiftlet")
        }
        let rest = Array(arguments.dropFirst())
        if word.hasPrefix("--"), word != "--help", word != "--version" { return runRuntime(arguments, launched: launched) }
        switch word {
        case "run":
            if let first = rest.first?.string, first == "-b" || first == "--bundle" || first.hasPrefix("--bundle=") {
                return runRuntime(arguments, launched: launched)
            }
            try runContainer(rest, launched: launched)
        case "pull": pull(rest)
        case "doctor": exit(try Doctor.run(rest, installation: Installation.current()) { Process.print($0) })
        case "--help", "-h", "help": Process.print(help)
        case "--version", "version": Process.print("swiftlet \(swiftletVersion)\n")
        case "image":
            guard let subcommand = rest.first?.string else {
                throw .usage("no command after \"image\": use 'swiftlet image ls'", command: "swiftlet")
            }
            if subcommand == "pull" { pull(Array(rest.dropFirst())) }
            guard let command = ImageCommand(subcommand: subcommand) else { throw unknown(subcommand) }
            runImageCommand(command, Array(rest.dropFirst()))
        default:
            if RuntimeCommand(rawValue: word) != nil { return runRuntime(arguments, launched: launched) }
            guard let command = ImageCommand(word) else { throw unknown(word) }
            runImageCommand(command, rest)
        }
    }

    /// As engines call a runtime: options may come first, the status is runc's, and the reason goes to the log that they read.
    private static func runRuntime(_ arguments: [Text], launched: UInt64) {
        var global = GlobalOptions()
        var isExec = false
        do throws(ContainerError) {
            let rest: [Text]
            (global, rest) = try GlobalOptions.parse(arguments)
            global.openLog()
            guard let word = rest.first?.string else { throw .usage("no command after the options", command: "swiftlet") }
            guard let command = RuntimeCommand(rawValue: word) else { throw unknown(word) }
            isExec = command == .exec
            let surroundings = Surroundings(installation: try Installation.current(), environment: Process.environment, launched: launched)
            try command.run(Array(rest.dropFirst()), global, in: surroundings) { Process.print($0) }
        } catch {
            global.note(error)
            Process.report(error)
            exit(isExec ? ContainerError.execExitCode : ContainerError.runtimeExitCode)
        }
    }

    private static func runImageCommand(_ command: ImageCommand, _ arguments: [Text]) -> Never {
        let surroundings = ImageSurroundings(
            environment: Process.environment, print: { Process.print($0) }, report: { printError("swiftlet: " + $0.printable) })
        do throws(ContainerError) {
            exit(try command.run(arguments, in: surroundings))
        } catch {
            Process.report(error)
            exit(error.imageCommandExitCode)
        }
    }

    private static func runContainer(_ arguments: [Text], launched: UInt64) throws(ContainerError) {
        let surroundings = Surroundings(installation: try Installation.current(), environment: Process.environment, launched: launched)
        switch try RunOptions.parse(arguments, try Settings.load(surroundings)) {
        case .help: Process.print(RunOptions.help)
        case .run(let options):
            exit(try Run.start(options, in: surroundings))
        }
    }

    private static func pull(_ arguments: [Text]) -> Never {
        do throws(ContainerError) {
            guard let options = try PullOptions.parse(arguments) else {
                Process.print(PullOptions.help)
                exit(0)
            }
            try RegistryProcess.replaceThisProcess(options, try Installation.current(), environment: Process.environment)
        } catch {
            Process.report(error)
            exit(error.imageCommandExitCode)
        }
    }

    private static let help = """
        Usage: swiftlet COMMAND

        Runs OCI containers, each in a virtual machine of its own.

        Commands:
          run       Run a command in a container
          images    List the images in the store
          inspect   Show what is known about images, as JSON
          load      Store the images of an archive
          prune     Remove what no image needs
          pull      Get an image from a registry
          rmi       Remove images
          save      Write images to an archive
          tag       Give an image another name

          create    Make a container of an OCI bundle
          start     Run the process of a container that was created
          state     Show a container's state
          list      List containers that were created
          exec      Run one more process in a container
          ps        Show the process of the host that a container is
          pause     Have a container stand still
          resume    Have it go on
          kill      Send a signal to a container's process
          delete    Remove a container
          update    Change a container's limits
          events    Show what a container uses
          spec      Write a config.json for a bundle
          features  Show what engines may ask of this runtime

          doctor    Say whether this machine can run containers, and what is missing
          version   Show the version

        'swiftlet COMMAND --help' tells more about a command.

        """

    /// Docker's words that we don't have get a sentence of their own.
    private static func unknown(_ word: String) -> ContainerError {
        let advice: String
        switch word {
        case "login", "logout", "search":
            advice = "'skopeo' and 'docker' have one, and 'swiftlet pull' uses the credentials that their login leaves"
        case "push":
            advice = "write the image with 'swiftlet save -o FILE NAME' and copy it with 'skopeo copy oci-archive:FILE docker://NAME'"
        case "build", "buildx", "builder", "commit", "import":
            return .usage(
                "there is no command \"\(word)\", because other tools make images: use 'buildah build' and 'buildah push NAME oci-archive:FILE', "
                    + "or 'docker buildx build -o type=oci,dest=FILE .', then 'swiftlet load -i FILE'", command: "swiftlet")
        case "history": advice = "'swiftlet inspect' shows what is known about an image"
        case "export": advice = "'swiftlet save' writes whole images"
        case "logs", "stop", "rm", "attach", "wait", "restart", "unpause",
            "stats", "top", "cp", "container", "rename", "port", "diff":
            advice = "a container lives as long as its 'swiftlet run': send that process a signal to end it"
        case "network", "volume", "compose", "system", "info", "context", "plugin", "swarm", "service", "stack", "node", "secret", "config":
            advice = "'swiftlet --help' lists what there is"
        default: return .usage("unknown command \"\(word)\"", command: "swiftlet")
        }
        return .usage("there is no command \"\(word)\" yet: \(advice)", command: "swiftlet")
    }
}
