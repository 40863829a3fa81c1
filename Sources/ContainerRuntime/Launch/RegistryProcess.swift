// Becoming the registry client: it has a TLS library to load, which the commands that start containers must not pay for.
import Glibc
import LinuxSystem
public import Wire

public enum RegistryProcess {
    /// Replaces this process by `swiftlet-registry`, which gets the whole environment; returns only by throwing.
    public static func replaceThisProcess(_ options: PullOptions, _ installation: Installation, environment: [Text]) throws(ContainerError) -> Never {
        let program = installation.registryClient
        let arguments = ([program] + options.registryArguments).map { Array($0.utf8) }
        do throws(SystemError) {
            try systemCall("execve", on: program) {
                // SAFETY: execve copies the vectors; it returns only on failure, while they are still there.
                unsafe CStringVector(arguments).use { argv in
                    unsafe CStringVector(environment.map(\.bytes)).use { envp in unsafe execve(program, argv, envp) }
                }
            }
        } catch { throw .file(what: "the registry client", error, remedy: "install Swiftlet again") }
        preconditionFailure("execve returned without an error")
    }
}
