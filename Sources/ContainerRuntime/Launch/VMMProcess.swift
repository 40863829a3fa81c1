// The VMM as a child of this process, from its cgroup and its configuration to its end.
import CLinux
import Glibc
import Images
import Jail
import LaunchConfiguration
import LinuxSystem
import Wire

/// A running `swiftlet-vmm`, which dies with this process.
final class VMMProcess {
    private let process: JailedProcess
    private let cgroup: Cgroup?
    /// This process's end of the sockets by which the VMM knows that it lives; it holds what the VMM sent (`Jail.enter`).
    private let lifeline: OwnedDescriptor

    /// Starts it; it inherits the standard descriptors and `files`, which nobody else may be handed meanwhile.
    init(
        _ configuration: LaunchConfiguration, handing files: [OpenFile], from installation: Installation, in placement: Placement?
    ) throws(ContainerError) {
        let kvm: OpenFile
        do throws(KVMDeviceError) { kvm = OpenFile(owning: try KVMDevice.open()) } catch { throw .kvm(error) }
        let filters = try installation.open("the seccomp filters", installation.filters)
        let identity = Identity.available
        do {
            let memory = OpenFile(owning: try Self.memory(configuration))
            let lifelines = try OwnedDescriptor.socketPair(nonBlocking: false)
            let arguments = LaunchArguments(
                configuration: memory.descriptor.raw, kvm: kvm.descriptor.raw, filters: filters.descriptor.raw, lifeline: lifelines.first.raw,
                identity: identity.rawValue)
            cgroup = try placement?.makeCgroup()
            do {
                process = try JailedProcess(
                    [installation.vmm] + arguments.words, as: identity, kept: arguments.descriptors + files.map { $0.descriptor.raw }, cgroup: cgroup)
            } catch {
                cgroup?.remove()
                throw error
            }
            // The child has its own now; until then none of these may be closed.
            withExtendedLifetime((memory, kvm, filters, files)) {}
            lifeline = lifelines.second
        } catch let error as JailError {
            throw .jail(error)
        } catch let error as SystemError {
            throw error.errno == E2BIG ? .tooLargeRequest : .system(what: "the VMM cannot be started", error)
        } catch { preconditionFailure("no other errors are thrown") }
    }

    private static func memory(_ configuration: LaunchConfiguration) throws(SystemError) -> OwnedDescriptor {
        let bytes = configuration.wireBytes
        guard bytes.count <= LaunchConfiguration.sizeLimit else { throw SystemError(call: "execve", errno: E2BIG) }
        let memory = try OwnedDescriptor.memory(named: "swiftlet-configuration")
        // At an offset: the reader finds the file's own at the beginning.
        try writeAt(memory.raw, offset: 0, bytes)
        return memory
    }

    /// Waits for the end; returns the exit status, or 128 + n after signal n.
    func wait() throws(SystemError) -> Int32 {
        let status = try process.wait()
        cgroup?.remove()
        if status & 0x7F == 0 { return (status >> 8) & 0xFF }
        let signal = status & 0x7F
        printError("swiftlet: the machine was ended by signal \(signal)" + (signal == SIGKILL ? ", by somebody or for want of memory" : ""))
        return 128 + signal
    }

    /// The same, passing on signals meanwhile. They must be blocked (`blockSignals`) since before the VMM was started.
    func attend() throws(SystemError) -> Int32 {
        var set = Self.attended
        while true {
            // SAFETY: sigwaitinfo reads the set.
            let signal = try systemCall("sigwaitinfo") { unsafe sigwaitinfo(&set, nil) }
            if signal != SIGCHLD { process.signal(signal) } else if try process.hasEnded() { return try wait() }
        }
    }

    /// So that none is lost: the VMM inherits this, and takes them when it can.
    static func blockSignals() {
        // A caller that ignores its children's ends would take ours away.
        signal(SIGCHLD, SIG_DFL)
        var set = attended
        // SAFETY: the set is a local value that the call reads.
        unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    private static var attended: sigset_t {
        var set = sigset_t()
        // SAFETY: the set is a local value that the calls fill.
        unsafe sigemptyset(&set)
        for signal in forwardedSignals + [SIGCHLD] { unsafe sigaddset(&set, signal) }
        return set
    }
}
