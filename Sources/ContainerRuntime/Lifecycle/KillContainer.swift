// `swiftlet kill`: a signal for the container's process.
import Glibc
import Jail
import LaunchConfiguration
import LinuxSystem

enum KillContainer {
    static func run(_ directory: ContainerDirectory, _ signal: UInt8, all: Bool) throws(ContainerError) {
        let record = try directory.requireRecord()
        guard directory.status(of: record) != .stopped else {
            // Whatever was left of it ended with its machine.
            if all { return }
            throw .container("container not running")
        }
        if signal == 0 { return }
        // Not by way of the guest, which might not obey; and everything in it ends with it.
        if signal == UInt8(SIGKILL) { return send(SIGKILL, to: record) }
        if all { throw .container("kill --all: only KILL reaches all processes of a machine at once") }
        try directory.request(.signal(signal))
    }

    /// To the VMM itself. A descriptor first, so that it can't be somebody else who has got its number meanwhile.
    private static func send(_ signal: Int32, to record: ContainerRecord) {
        guard let process = try? ProcessHandle(of: record.process), record.isAlive else { return }
        process.send(signal)
        // A killed VMM goes at once even where it stands still; its file server has to see that first.
        if let cgroup = record.cgroup, Cgroup.isFrozen(at: cgroup) { try? Cgroup.freeze(false, at: cgroup) }
    }

    static func end(_ record: ContainerRecord) {
        send(SIGKILL, to: record)
        for _ in 0..<2000 where record.isAlive { usleep(5000) }
    }
}
