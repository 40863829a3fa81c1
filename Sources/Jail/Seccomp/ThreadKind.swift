// The kinds of threads in the VMM's process, and in its file server's. Each has a filter of its own.

public enum ThreadKind: UInt8, CaseIterable, Sendable {
    /// The event loop: devices, signals, the agent's control connection.
    case main = 0
    /// A vCPU in KVM_RUN.
    case vcpu = 1
    /// A relay of a standard stream.
    case stream = 2
    /// Reads and writes disks.
    case block = 3
    /// Serves file systems: what is in open files, and messages to the file server.
    case files = 4
    /// The file server's process: names.
    case fileServer = 5

    /// As violations report it, and debuggers show it.
    public var name: StaticString {
        switch self {
        case .main: "main"
        case .vcpu: "vcpu"
        case .stream: "stream"
        case .block: "block"
        case .files: "files"
        case .fileServer: "file server"
        }
    }
}
