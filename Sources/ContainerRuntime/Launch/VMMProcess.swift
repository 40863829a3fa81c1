// The VMM as a child of this process, from its cgroup and its configuration to its end.
import CLinux
import Glibc
import Images
import Jail
import LaunchConfiguration
import LinuxSystem
import Wire

/// A `swiftlet-vmm`, which dies with this process, and with this value unless its end was waited for or it was let go. It is started before anything is known of its machine: the kernel takes its
/// time to make one.
final class VMMProcess {
    private let process: JailedProcess
    /// In which other processes of the machine may be born.
    let cgroup: Cgroup?
    /// This process's end of the sockets by which the VMM knows that it lives; it holds what the VMM sent (`Jail.enter`).
    private let lifeline: OwnedDescriptor
    private var hasEnded = false

    /// It inherits the standard descriptors; with `terminal`, that one is all three, and controls it. `network`: the namespace that it is in; nil: one of its own.
    init(from installation: Installation, in placement: Placement?, terminal: Int32? = nil, network: Int32? = nil) throws(ContainerError) {
        let kvm: OpenFile
        do throws(KVMDeviceError) { kvm = OpenFile(owning: try KVMDevice.open()) } catch { throw .kvm(error) }
        let filters = try installation.open("the seccomp filters", installation.filters)
        let identity = Identity.available
        do {
            let sockets = try OwnedDescriptor.socketPair(nonBlocking: false)
            let arguments = LaunchArguments(
                kvm: kvm.descriptor.raw, filters: filters.descriptor.raw, lifeline: sockets.first.raw, identity: identity.rawValue, network: network)
            let scope = try placement?.scope?.start(placement?.limits ?? CgroupLimits(), for: placement?.name ?? "")
            let cgroup = try placement?.makeCgroup(scope)
            // Signals that it gets before it can take them wait; this process keeps its own ways until it attends to it.
            let mask = Self.block(Self.attended)
            defer { Self.restore(mask) }
            do {
                process = try JailedProcess(
                    [installation.vmm] + arguments.words, as: identity, kept: arguments.descriptors, cgroup: cgroup, streams: terminal)
            } catch {
                cgroup?.remove()
                throw error
            }
            // The child has its own now; until then none of these may be closed.
            withExtendedLifetime((kvm, filters, scope)) {}
            self.cgroup = cgroup
            lifeline = sockets.second
        } catch let error as ContainerError {
            throw error
        } catch let error as JailError {
            throw .jail(error)
        } catch let error as SystemError {
            throw .system(what: "the VMM cannot be started", error)
        } catch { preconditionFailure("no other errors are thrown") }
    }

    deinit {
        if hasEnded { return }
        process.signal(SIGKILL)
        _ = try? process.wait()
        cgroup?.remove()
    }

    /// On one processor, leaves it to the VMM until that has begun (`Jail.enter`), since every microsecond here would put off its beginning to wait for the kernel.
    func letItBegin() {
        guard LinuxSystem.Thread.shareOneProcessor else { return }
        var entry = pollfd(fd: lifeline.raw, events: Int16(POLLIN), revents: 0)
        // SAFETY: poll reads and writes one entry. A VMM that ends is heard of as well.
        _ = try? systemCall("poll") { unsafe poll(&entry, 1, -1) }
    }

    // MARK: One that outlives this process

    var pid: Int32 { process.pid }

    /// Waits until it is in its namespaces, which others may look for from now on. False if it ended before.
    func waitForNamespaces() -> Bool {
        do throws(SystemError) {
            // Taken out of the way of what it says later; the namespace lives as long as its process.
            for namespace in try DescriptorTransfer.receive(over: lifeline.raw, atMost: 1) { close(namespace) }
            return true
        } catch { return false }
    }

    /// Waits for its word on what became of what `send` told it. Nil if it ended without one.
    func outcome() -> ControlReply? {
        // It closes its end when it has spoken.
        (try? readAll(lifeline.raw, limit: ControlReply.sizeLimit)).flatMap { try? ControlReply(wireBytes: $0) }
    }

    /// Lives on when this process ends, and is somebody else's child then.
    func letGo() { hasEnded = true }

    // MARK: Orders

    /// Tells it what to run. What the configuration names must be open until this returns.
    func send(_ configuration: LaunchConfiguration) throws(ContainerError) {
        let (counting, descriptors) = configuration.countingDescriptors
        do throws(SystemError) {
            let memory = try Self.memory(counting)
            try DescriptorTransfer.send([memory.raw] + descriptors, over: lifeline.raw)
        } catch {
            // A VMM that has ended has said why, or says it by its status.
            if [EPIPE, ECONNRESET].contains(error.errno) { return }
            throw error.errno == E2BIG ? .tooLargeRequest : .system(what: "the VMM cannot be told what to run", error)
        }
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
        hasEnded = true
        cgroup?.remove()
        if status & 0x7F == 0 { return (status >> 8) & 0xFF }
        let signal = status & 0x7F
        printError("swiftlet: the machine was ended by signal \(signal)" + (signal == SIGKILL ? ", by somebody or for want of memory" : ""))
        return 128 + signal
    }

    /// The same, passing on signals meanwhile. `blockSignals` must have been called, so that none is lost.
    func attend() throws(SystemError) -> Int32 {
        var set = Self.attended
        // It may have ended before its end was worth a signal.
        while try !process.hasEnded() {
            // SAFETY: sigwaitinfo reads the set.
            let signal = try systemCall("sigwaitinfo") { unsafe sigwaitinfo(&set, nil) }
            if signal != SIGCHLD { process.signal(signal) }
        }
        return try wait()
    }

    /// From now on signals wait for `attend`.
    static func blockSignals() {
        // A caller that ignores its children's ends would take ours away.
        signal(SIGCHLD, SIG_DFL)
        _ = block(attended)
    }

    private static func block(_ set: sigset_t) -> sigset_t {
        var (set, old) = (set, sigset_t())
        // SAFETY: the sets are local values that the call reads and writes.
        unsafe pthread_sigmask(SIG_BLOCK, &set, &old)
        return old
    }

    private static func restore(_ set: sigset_t) {
        var set = set
        // SAFETY: the set is a local value that the call reads.
        unsafe pthread_sigmask(SIG_SETMASK, &set, nil)
    }

    private static var attended: sigset_t {
        var set = sigset_t()
        // SAFETY: the set is a local value that the calls fill.
        unsafe sigemptyset(&set)
        for signal in forwardedSignals + [SIGCHLD] { unsafe sigaddset(&set, signal) }
        return set
    }
}
