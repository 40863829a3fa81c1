// What the agent knows about containers and their processes.
internal import AgentProtocol
internal import FirstProcess
internal import GuestSystem

/// A container from `createContainer` on.
final class Container {
    enum State {
        case ready
        /// `first`: a descriptor of its first process, whose namespaces are the container's. Never closed: the machine ends with it.
        case running(first: Int32)
        case ended
    }

    let spec: ContainerSpec
    /// A user namespace for each of its mounts that is id-mapped, in their order; never closed.
    let identities: [Int32]
    /// Its control group's directory.
    let group: OwnedDescriptor
    var state: State

    init(_ spec: ContainerSpec, group: consuming OwnedDescriptor, identities: [Int32]) {
        self.spec = spec
        self.identities = identities
        self.group = group
        state = .ready
    }

    /// Where its root file system is mounted, in the agent's own tree.
    var root: CPath { Container.root(spec.container) }

    static func root(_ container: UInt32) -> CPath { "/containers/\(Int(container))" }
}

/// A process from `startProcess` until its exit has been reported.
final class ContainerProcess {
    enum State {
        /// The child prepares itself; it reports failures, and its success by the end of its report.
        case starting
        case running
        /// Its output is still on its way.
        case ended(ChildStatus)
    }

    let number: UInt32
    let container: Container
    let pid: Int32
    let isFirst: Bool
    let report: OwnedDescriptor
    var state = State.starting
    var failure: Failure?
    var input: Relay?
    var outputs: [Relay] = []
    var endpoints: [Endpoint]
    /// With a terminal: its master, once the child has opened it; resizes go there.
    var terminal: Endpoint?

    init(
        _ spec: ProcessSpec, in container: Container, pid: Int32, isFirst: Bool, report: consuming OwnedDescriptor, streams: StreamEnds
    ) {
        number = spec.process
        self.container = container
        self.pid = pid
        self.isFirst = isFirst
        self.report = report
        input = streams.input
        outputs = streams.outputs
        endpoints = streams.endpoints
    }
}

/// The agent's ends of a process's streams.
struct StreamEnds {
    var input: Relay?
    var outputs: [Relay] = []
    var endpoints: [Endpoint] = []
}
