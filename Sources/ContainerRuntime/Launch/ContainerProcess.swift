// The container's first process: the image's defaults under the user's options, by the rules of `docker run`.
public import OCI
public import Wire

public struct ContainerProcess: Equatable, Sendable {
    /// What Docker gives a container whose image says nothing.
    static let defaultPath: Text = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    static let defaultStopSignal: UInt8 = 15

    public var arguments: [Text]
    /// `NAME=value` each; HOME is the agent's affair, who knows the user's entry in /etc/passwd.
    public var environment: [Text]
    public var workingDirectory: Text
    public var user: Text
    public var stopSignal: UInt8

    /// `userEnvironment` holds the entries of --env-file and then those of -e, resolved against the caller's.
    public init(
        _ options: RunOptions, image: ImageConfiguration.Process, userEnvironment: [Text], hostname: Text
    ) throws(ContainerError) {
        let entrypoint: [Text]
        let command: [Text]
        if let given = options.entrypoint {
            // The image's command was meant for the image's entrypoint.
            entrypoint = given.isEmpty ? [] : [given]
            command = options.command
        } else {
            entrypoint = try Self.texts(image.entrypoint ?? [], field: "entrypoint")
            command = options.command.isEmpty ? try Self.texts(image.command ?? [], field: "command") : options.command
        }
        arguments = entrypoint + command
        guard !arguments.isEmpty else { throw .noCommand }

        let own = [Self.defaultPath, Environment.entry("HOSTNAME", hostname)] + (options.terminal ? ["TERM=xterm"] : [])
        let imageEnvironment = try Self.texts(image.environment, field: "environment variable")
        let count = userEnvironment.count + imageEnvironment.count
        guard count <= Environment.limit else { throw .tooManyVariables(count) }
        environment = Environment.overlay(Environment.merge(user: userEnvironment, image: imageEnvironment), on: own)

        let imageDirectory = try Self.texts([image.workingDirectory], field: "working directory")[0]
        let directory = options.workingDirectory ?? imageDirectory
        // Docker takes an image's relative directory from the root.
        workingDirectory = directory.bytes.first == UInt8(ascii: "/") ? directory : Text(bytes: [UInt8(ascii: "/")] + directory.bytes) ?? "/"
        let imageUser = try Self.texts([image.user], field: "user")[0]
        user = options.user ?? imageUser

        if let given = options.stopSignal {
            stopSignal = given
        } else if image.stopSignal.isEmpty {
            stopSignal = Self.defaultStopSignal
        } else if let number = Quantities.signal(image.stopSignal) {
            stopSignal = number
        } else {
            throw .imageConfiguration(field: "stop signal", value: image.stopSignal, remedy: "give --stop-signal")
        }
    }

    /// JSON can hold NUL characters, which no argument, variable or path can.
    private static func texts(_ strings: [String], field: String) throws(ContainerError) -> [Text] {
        var texts: [Text] = []
        for string in strings {
            guard let text = Text(bytes: Array(string.utf8)) else {
                throw .imageConfiguration(field: field, value: string, remedy: "it holds a NUL character; use another image")
            }
            texts.append(text)
        }
        return texts
    }
}

extension ContainerProcess {
    /// The user's variables in order: files first, then -e. Names alone are looked up in the caller's environment.
    static func userEnvironment(
        _ options: RunOptions, files: [(path: String, bytes: [UInt8])], caller: (Text) -> Text?
    ) throws(ContainerError) -> [Text] {
        var entries: [Text] = []
        for file in files { entries += try EnvironmentFile.parse(file.bytes, path: file.path, caller: caller) }
        for entry in options.environment {
            // A name that the caller doesn't have either stays alone: it removes the image's variable.
            let value = entry.bytes.contains(UInt8(ascii: "=")) ? nil : caller(entry)
            entries.append(value.map { Environment.entry(entry, $0) } ?? entry)
        }
        return entries
    }
}
