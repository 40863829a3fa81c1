// `swiftlet run` of a bundle: create, start and, unless it is detached, the container's end and delete.
import Glibc
import LinuxSystem

struct RunBundleOptions {
    var create: CreateOptions
    var isDetached = false
    /// What is kept of it stays when it has ended.
    var keeps = false
}

enum RunContainer {
    /// Returns the exit status: the container's, or 0 where it is detached.
    static func run(_ options: RunBundleOptions, _ directories: borrowing ContainerDirectories, in surroundings: Surroundings) throws(ContainerError)
        -> Int32
    {
        var request = options.create
        request.isAttended = !options.isDetached
        let terminal = request.isAttended && request.consoleSocket == nil ? TerminalMode() : nil
        if request.isAttended { VMMProcess.blockSignals() }
        let identifier = request.identifier
        let container = try CreateContainer.run(request, directories, in: surroundings)
        container.letGo()
        do throws(ContainerError) { try StartContainer.run(try directories.find(identifier)) } catch {
            try? DeleteContainer.run(identifier, directories, isForced: true)
            throw error
        }
        guard request.isAttended else { return 0 }
        let status: Int32
        do throws(SystemError) { status = try container.machine.attend() } catch { throw .system(what: "the container cannot be attended to", error) }
        // A VMM that was killed could not do it.
        terminal?.restore()
        if !options.keeps { try DeleteContainer.run(identifier, directories, isForced: true) }
        return status
    }
}
