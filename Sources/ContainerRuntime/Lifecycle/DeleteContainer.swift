// `swiftlet delete`: what is kept of a container that has stopped goes, with its cgroup.
import LinuxSystem
import OCI

enum DeleteContainer {
    static func run(_ identifier: String, _ directories: borrowing ContainerDirectories, isForced: Bool) throws(ContainerError) {
        let directory: ContainerDirectory
        do throws(ContainerError) {
            directory = try directories.find(identifier)
            try directory.lock()
        } catch {
            if isForced, case .container(let sentence) = error, sentence.hasPrefix("container does not exist") { return }
            throw error
        }
        let record = try directory.read()
        if let record {
            let status = directory.status(of: record)
            if status != .stopped {
                // runc, too, takes away what was only created.
                guard isForced || status == .created else {
                    throw .container("cannot delete container \(identifier) that is not stopped: \(status.rawValue)")
                }
                KillContainer.end(record)
                if record.isAlive { throw .container("the machine of the container \(identifier) does not end") }
            }
        } else if !isForced {
            throw .container("container does not exist: \(identifier)")
        }
        try directory.remove(record)
        guard let record else { return }
        for hook in record.hooks.poststop {
            do throws(ContainerError) { try HookRunner.run([hook], "poststop", record.state(.stopped, isWhole: false)) } catch {
                // It is gone all the same, and the others run.
                printError("swiftlet: warning: \(error.description)")
            }
        }
    }
}
