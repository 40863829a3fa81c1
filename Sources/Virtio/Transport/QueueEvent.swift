// Queue notifications on their way from KVM (or a register write) to the thread that serves the device.
public import LinuxSystem

/// The eventfd of one queue: KVM's ioeventfd on QueueNotify signals it, with the queue's index as datamatch, and the VMM's event loop watches it.
public final class QueueEvent: Sendable {
    public let event: EventFD

    init() throws(SystemError) { event = try EventFD() }

    public var raw: Int32 { event.raw }
}
