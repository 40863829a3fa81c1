// The interrupt of a transport, and the registers that say why (virtio 1.2 §4.2.2): InterruptStatus and ConfigGeneration.
//
// Outside the transport's mutex: the guest's interrupt handler reads and acknowledges while the device may be busy with the host's disk.
import Synchronization

/// What a device interrupts its driver with.
public final class InterruptLine: Sendable {
    private enum Cause {
        static let queue: UInt32 = 1
        static let configuration: UInt32 = 2
    }

    private let causes = Atomic<UInt32>(0)
    private let changes = Atomic<UInt32>(0)
    private let deliver: @Sendable () -> Void

    init(deliver: @escaping @Sendable () -> Void) { self.deliver = deliver }

    /// A chain was used.
    public func queueUsed() { raise(Cause.queue) }

    /// The configuration space or the device's status changed.
    public func configurationChanged() {
        changes.wrappingAdd(1, ordering: .acquiringAndReleasing)
        raise(Cause.configuration)
    }

    private func raise(_ cause: UInt32) {
        causes.bitwiseOr(cause, ordering: .acquiringAndReleasing)
        deliver()
    }

    /// InterruptStatus.
    var status: UInt32 { causes.load(ordering: .acquiring) }

    /// ConfigGeneration.
    var generation: UInt32 { changes.load(ordering: .acquiring) }

    /// InterruptACK.
    func acknowledge(_ causes: UInt32) { self.causes.bitwiseAnd(~causes, ordering: .acquiringAndReleasing) }
}
