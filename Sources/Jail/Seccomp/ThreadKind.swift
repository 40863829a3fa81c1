// The kinds of threads in the VMM's process. Each has a filter of its own.

public enum ThreadKind: UInt8, CaseIterable, Sendable {
    /// The event loop: devices, signals, the agent's control connection.
    case main = 0
    /// A vCPU in KVM_RUN.
    case vcpu = 1
    /// A relay of a standard stream.
    case stream = 2
    /// Reads and writes disks.
    case block = 3

    /// As violations report it.
    var name: StaticString {
        switch self {
        case .main: "main"
        case .vcpu: "vcpu"
        case .stream: "stream"
        case .block: "block"
        }
    }
}
