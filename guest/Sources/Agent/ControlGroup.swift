// The control group of a container (cgroup-v2.rst): how many processes it may have, and which devices they may open. The agent stays outside.
internal import AgentProtocol
internal import CGuest
internal import GuestSystem
internal import Unpacker
internal import Wire

enum ControlGroup {
    /// Where the agent sees all groups. A container sees its own alone, through a namespace.
    static func prepareMachine() throws(SystemError) {
        try FileSystem.makeDirectory("/groups", mode: 0o755)
        try FileSystem.mount("cgroup", on: "/groups", type: "cgroup2")
        // What a kernel of the user's own doesn't have is missed only by those who ask for it.
        for controller in ["+pids", "+memory", "+cpu", "+io", "+cpuset"] as [StaticString] {
            try? write(Array(controller), to: "/groups/cgroup.subtree_control")
        }
    }

    /// The directory of the container's group, into which its processes are born.
    static func make(_ spec: ContainerSpec) throws(Failure) -> OwnedDescriptor {
        do throws(SystemError) {
            let path: CPath = "/groups/\(Int(spec.container))"
            try FileSystem.makeDirectory(path, mode: 0o755)
            if spec.processLimit > 0 { try write(("\(Int(spec.processLimit))" as Sentence).bytes, to: "\(path.bytes)/pids.max") }
            let group = try OwnedDescriptor.open(path, O_RDONLY | O_DIRECTORY)
            if !spec.deviceProgram.isEmpty { try Processes.decideDevices(group.raw, spec.deviceProgram) }
            return group
        } catch { throw Failure(.agent, "the container's control group can't be made: \(error)") }
    }

    private static func write(_ text: [UInt8], to path: CPath) throws(SystemError) {
        let file = try OwnedDescriptor.open(path, O_WRONLY)
        try InputOutput.writeAll(file.raw, text)
    }
}
