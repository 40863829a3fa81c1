// The VMM's process: one microVM and its supervisor. Started by `swiftlet`, which hands over /dev/kvm and the configuration on descriptors.
import Glibc
import Jail
import LaunchConfiguration
import LinuxSystem
import Supervisor
import VMM
import Wire

func launch(_ arguments: LaunchArguments, as identity: Identity) -> Int32 {
    do {
        let started = monotonicNanoseconds()
        let opening = try MachineOpening(kvm: arguments.kvm)
        try Jail.enter(as: identity, lifeline: arguments.lifeline)
        let filters = try FilterSet(reading: arguments.filters)
        let bytes = try readAll(arguments.configuration, limit: LaunchConfiguration.sizeLimit)
        close(arguments.filters)
        close(arguments.configuration)
        let configuration = try LaunchConfiguration(wireBytes: bytes)
        let timeline = Timeline(launched: configuration.launched)
        timeline.mark(.vmmStarted, at: started)
        let machine = try MicroVM(configuration.machine, in: opening, filters: filters, timeline: timeline, logLevel: configuration.logLevel)
        let outputs = [STDOUT_FILENO, STDERR_FILENO] + (configuration.timeline.map { [$0] } ?? [])
        let status =
            switch configuration.task {
            case .container(let container):
                try Supervisor(container, machine: machine, filters: filters, timeline: timeline).run(outputs: outputs)
            case .unpacking(let layers): UnpackingSupervisor(layers, machine: machine).run()
            }
        timeline.mark(.exit)
        if let output = configuration.timeline {
            try writeAll(output, Array((output == STDERR_FILENO ? timeline.summary : timeline.json).utf8))
        }
        return status
    } catch let error as WireError {
        printError("swiftlet: the launch configuration is unreadable (\(error)): swiftlet and swiftlet-vmm are of different versions")
    } catch {
        printError("swiftlet: \(error)")
    }
    return Jail.failure
}

let words = Array(CommandLine.arguments.dropFirst())
if words == ["--probe"] { exit(HostReport.print()) }
guard let arguments = LaunchArguments(words), let identity = Identity(rawValue: arguments.identity) else {
    printError("swiftlet: swiftlet-vmm is started by 'swiftlet run', not by hand; 'swiftlet doctor' starts it as swiftlet-vmm --probe")
    exit(Jail.failure)
}
exit(launch(arguments, as: identity))
