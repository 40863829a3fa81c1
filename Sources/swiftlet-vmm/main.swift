// The VMM's process: one microVM and its supervisor. Started by `swiftlet run`, which hands over the configuration on a descriptor.
import Glibc
import LaunchConfiguration
import LinuxSystem
import Supervisor
import VMM
import Wire

func launch(descriptor: Int32) -> Int32 {
    let configuration: LaunchConfiguration
    do {
        let started = monotonicNanoseconds()
        let opening = try MachineOpening()
        let bytes = try readAll(descriptor, limit: LaunchConfiguration.sizeLimit)
        close(descriptor)
        configuration = try LaunchConfiguration(wireBytes: bytes)
        let timeline = Timeline(launched: configuration.launched)
        timeline.mark(.vmmStarted, at: started)
        let machine = try MicroVM(configuration.machine, in: opening, timeline: timeline, logLevel: configuration.logLevel)
        let status =
            switch configuration.task {
            case .container(let container): try Supervisor(container, machine: machine, timeline: timeline).run()
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
    return Supervisor.ownFailure
}

let arguments = CommandLine.arguments
switch arguments.dropFirst().first {
case LaunchConfiguration.descriptorArgument where arguments.count == 3:
    guard let descriptor = Int32(arguments[2]), descriptor > 2 else {
        printError("swiftlet: '\(arguments[2])' is no descriptor: swiftlet-vmm is started by 'swiftlet run', not by hand")
        exit(Supervisor.ownFailure)
    }
    exit(launch(descriptor: descriptor))
case "--probe" where arguments.count == 2:
    exit(HostReport.print())
default:
    printError("swiftlet: swiftlet-vmm is started by 'swiftlet run', not by hand; 'swiftlet doctor' starts it as swiftlet-vmm --probe")
    exit(Supervisor.ownFailure)
}
