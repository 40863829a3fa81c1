// `swiftlet start`: the process that waits is executed.
import LaunchConfiguration
import OCI

enum StartContainer {
    static func run(_ directory: ContainerDirectory) throws(ContainerError) {
        try directory.lock()
        let record = try directory.requireRecord()
        switch directory.status(of: record) {
        case .created: try directory.request(.start)
        case .stopped: throw .container("cannot start a container that has stopped")
        case .running, .paused, .creating: throw .container("cannot start an already running container")
        }
        // A hook may ask for the container's state, or change it.
        directory.unlock()
        do throws(ContainerError) {
            try HookRunner.run(record.hooks.poststart, "poststart", record.state(.running, isWhole: false))
        } catch {
            KillContainer.end(record)
            throw error
        }
    }
}
