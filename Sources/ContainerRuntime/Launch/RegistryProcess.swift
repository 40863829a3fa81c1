// The registry client, a program of its own: it has a TLS library to load, which the commands that start containers must not pay for.
import Glibc
import LinuxSystem
import OCI
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

    /// Gets an image that a container needs. The client says itself what goes wrong; all of its output goes to standard error, the other belongs to the container.
    static func pull(_ name: ImageName, _ installation: Installation, environment: [Text]) throws(ContainerError) {
        let program = installation.registryClient
        let arguments = [program] + PullOptions(name: name).registryArguments
        let status: Int32
        do throws(SystemError) {
            status = try ChildProcess(program, arguments, descriptor: STDERR_FILENO, as: STDOUT_FILENO, environment: environment).wait()
        } catch { throw .file(what: "the registry client", error, remedy: "install Swiftlet again") }
        if status != 0 { throw .reported }
    }
}
