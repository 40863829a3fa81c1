// The whole life of a VMM's process, in order: the jail closes, the machine is built, its supervisor runs it.
import Glibc
public import Jail
import LaunchConfiguration
import LinuxSystem
import VMM
import Wire

public enum Launch {
    /// Does what the words of LaunchArguments ask for; returns the process's exit status. Errors are printed here. `prepared` is called when the process is in the jail and
    /// the machine is built, before the guest runs: a test of the jail begins its attack there.
    public static func run(_ words: [String], prepared: (FilterSet) throws -> Void = { _ in }) -> Int32 {
        guard let arguments = LaunchArguments(words), let identity = Identity(rawValue: arguments.identity) else {
            printError("swiftlet: swiftlet-vmm is started by 'swiftlet run', not by hand; 'swiftlet doctor' starts it as swiftlet-vmm --probe")
            return Jail.failure
        }
        do {
            return try run(arguments, as: identity, prepared)
        } catch let error as WireError {
            printError("swiftlet: the launch configuration is unreadable (\(error)): swiftlet and swiftlet-vmm are of different versions")
        } catch {
            printError("swiftlet: \(error)")
        }
        return Jail.failure
    }

    private static func run(_ arguments: LaunchArguments, as identity: Identity, _ prepared: (FilterSet) throws -> Void) throws -> Int32 {
        let started = monotonicNanoseconds()
        // The kernel waits while it makes a machine; meanwhile the jail closes.
        let opening = try MachineOpening(kvm: arguments.kvm)
        let lifeline = OwnedDescriptor(owning: arguments.lifeline)
        try Jail.enter(as: identity, lifeline: lifeline, network: arguments.network)
        if let network = arguments.network { close(network) }
        let filters = try FilterSet(reading: arguments.filters)
        filters.reportViolations()
        close(arguments.filters)
        let configuration = try receive(over: lifeline)
        guard configuration.outlivesParent else { return try run(configuration, in: opening, filters, started, creator: nil, prepared) }
        // From now on the kernel doesn't see to it any more that the process ends with its parent.
        try Jail.outliveParent()
        do {
            return try run(configuration, in: opening, filters, started, creator: lifeline.raw, prepared)
        } catch {
            tell(lifeline.raw, ControlReply(failure: "\(error)"))
            return Jail.failure
        }
    }

    private static func run(
        _ configuration: LaunchConfiguration, in opening: consuming MachineOpening, _ filters: FilterSet, _ started: UInt64, creator: Int32?,
        _ prepared: (FilterSet) throws -> Void
    ) throws -> Int32 {
        let timeline = Timeline(launched: configuration.launched)
        timeline.mark(.vmmStarted, at: started)
        timeline.mark(.configured)
        let machine = try MicroVM(configuration.machine, in: opening, filters: filters, timeline: timeline, logLevel: configuration.logLevel)
        try prepared(filters)
        let outputs = [STDOUT_FILENO, STDERR_FILENO] + (configuration.timeline.map { [$0] } ?? [])
        let status =
            switch configuration.task {
            case .container(let container):
                try Supervisor(container, machine: machine, filters: filters, timeline: timeline, creator: creator).run(
                    outputs: outputs + (container.lifecycle.map { [$0.status] } ?? []))
            case .unpacking(let layers): UnpackingSupervisor(layers, machine: machine).run()
            }
        timeline.mark(.exit)
        if let output = configuration.timeline {
            try writeAll(output, Array((output == STDERR_FILENO ? timeline.summary : timeline.json).utf8))
        }
        return status
    }

    /// The command that creates a container hears nothing more. It may have gone.
    static func tell(_ creator: Int32, _ reply: ControlReply) {
        try? writeAll(creator, reply.wireBytes)
        shutdown(creator, Int32(SHUT_WR))
    }

    /// Waits until `swiftlet` knows what is to run: it may have an image to pull and to unpack.
    private static func receive(over lifeline: borrowing OwnedDescriptor) throws -> LaunchConfiguration {
        let descriptors: [Int32]
        do throws(SystemError) {
            descriptors = try DescriptorTransfer.receive(over: lifeline.raw, atMost: LaunchConfiguration.descriptorLimit)
        } catch {
            if error.errno == ECONNRESET { Jail.orphaned() }
            throw error
        }
        guard let first = descriptors.first else { throw WireError.truncated }
        let file = OwnedDescriptor(owning: first)
        var configuration = try LaunchConfiguration(wireBytes: try readAll(file.raw, limit: LaunchConfiguration.sizeLimit))
        try configuration.resolveDescriptors(Array(descriptors.dropFirst()))
        return configuration
    }
}

extension LaunchConfiguration {
    fileprivate var outlivesParent: Bool {
        if case .container(let container) = task { container.lifecycle != nil } else { false }
    }
}
