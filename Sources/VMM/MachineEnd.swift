// How a machine comes to an end, told by any thread to the event loop.
public import KVM
public import LinuxSystem
import Synchronization

/// Why the machine stopped by itself.
public enum MachineEnd: Equatable, Sendable {
    /// The guest asked for a reset: after a panic, or because its agent gave up.
    case reset
    case fault(FaultReport)
    /// The probe says that this host can't run it; with the reason.
    case unsuitableHost(String)
    /// The host could not read or write a disk that exists for this machine only.
    case lostDisk
    /// A thread that serves disks or file systems can't go on.
    case worker(SystemError)
    /// The host failed a device itself, not a single request.
    case device(SystemError)
    /// KVM_RUN itself failed.
    case kvm(KVMError)
}

/// Takes the first end that any thread reports, and wakes the event loop.
public final class EndSignal: Sendable {
    private let end = Mutex<MachineEnd?>(nil)
    private let event: EventFD

    public init() throws(SystemError) { event = try EventFD() }

    public var descriptor: Int32 { event.raw }

    public func report(_ reason: MachineEnd) {
        end.withLock { if $0 == nil { $0 = reason } }
        event.signal()
    }

    public var reason: MachineEnd? { end.withLock { $0 } }
}
