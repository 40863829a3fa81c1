// "Hooks" of the OCI runtime specification (config.md): programs of the engine's that are told the container's state on standard input.
import CLinux
import Glibc
import LinuxSystem
import OCI
import Wire

enum HookRunner {
    /// One after another; throws for the first that fails.
    static func run(_ hooks: [RuntimeSpecification.Hook], _ name: String, _ state: JSONValue) throws(ContainerError) {
        for (index, hook) in hooks.enumerated() {
            let problem = try run(hook, state)
            if let problem { throw .container("error running \(name) hook #\(index): \(hook.path): \(problem)") }
        }
    }

    /// What went wrong; nil: nothing.
    private static func run(_ hook: RuntimeSpecification.Hook, _ state: JSONValue) throws(ContainerError) -> String? {
        do {
            let bytes = try state.text(limit: ContainerRecord.sizeLimit)
            let input = try OwnedDescriptor.memory(named: "swiftlet-state")
            try writeAt(input.raw, offset: 0, bytes)
            let child = try ChildProcess(
                hook.path, hook.arguments, descriptor: input.raw, as: STDIN_FILENO, environment: hook.environment.map { Text($0) })
            guard let timeout = hook.timeout, timeout > 0 else { return words(try child.wait()) }
            let deadline = monotonicNanoseconds() + UInt64(timeout) * 1_000_000_000
            while try !child.hasEnded() {
                if monotonicNanoseconds() > deadline {
                    child.terminate()
                    _ = try child.wait()
                    return "it took more than \(timeout) s"
                }
                usleep(2000)
            }
            return words(try child.wait())
        } catch let error as SystemError {
            return error.reason
        } catch { return "\(error)" }
    }

    private static func words(_ status: Int32) -> String? { status == 0 ? nil : "exit status \(status)" }
}
