// A process that may be anybody's, held by a descriptor: its number can't come to mean another one meanwhile (pidfd_open(2)).
import CLinux

public struct ProcessHandle: ~Copyable, Sendable {
    private let descriptor: OwnedDescriptor

    /// Throws ESRCH where there is none.
    public init(of process: Int32) throws(SystemError) {
        descriptor = OwnedDescriptor(owning: try systemCall("pidfd_open") { clinux_pidfd_open(process) })
    }

    /// Harmless when it has ended.
    public borrowing func send(_ signal: Int32) { _ = clinux_pidfd_send_signal(descriptor.raw, signal) }
}
