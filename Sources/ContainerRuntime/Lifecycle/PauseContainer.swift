// `swiftlet pause` and `swiftlet resume`: the machine stands still, with everything in it.
import Glibc
import Jail
import LinuxSystem

enum PauseContainer {
    static func run(_ directory: ContainerDirectory, pausing: Bool) throws(ContainerError) {
        try directory.lock()
        let record = try directory.requireRecord()
        let status = directory.status(of: record)
        if pausing && status != .running && status != .created { throw .container("container not running or created: \(status.rawValue)") }
        if !pausing && status != .paused { throw .container("container not paused") }
        guard let cgroup = record.cgroup else { throw .container("a container without a cgroup of its own can't be paused: run as root") }
        do throws(SystemError) { try Cgroup.freeze(pausing, at: cgroup) } catch {
            if error.errno == ENOTSUP { throw .container("only cgroups of version 2 can be paused, which this host does not have") }
            throw .system(what: "the container \(directory.identifier) cannot be \(pausing ? "paused" : "resumed")", error)
        }
    }
}
