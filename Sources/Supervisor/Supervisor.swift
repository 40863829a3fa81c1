// The container's supervisor inside the VMM's process: its streams, its signals, its exit status.
//
//   waiting ──hello──▶ starting ──processStarted──▶ running ──processExited──▶ draining ──outputs ended──▶ ended(status)
//      │                  │ ▲                           │
//      │       processReady │ start                     │
//      │                  ▼ │                           │
//      │                created                         │
//      └──────────────────┴──── failed, machine ended, agent gone ────────────────────────────────────────▶ ended(125…127)
//
// Where a container's life is not that of the command that made it (docs/adr/0017), it waits for `swiftlet start` when it has been created.
import AgentProtocol
import Glibc
public import Jail
public import LaunchConfiguration
import LinuxSystem
public import VMM
import Wire

public final class Supervisor {
    /// Exit status of Swiftlet's own errors, as `docker run` has it.
    public static let ownFailure = Jail.failure
    /// Sockets of commands, and of the streams of processes that they execute.
    private static let connectionLimit: UInt64 = 1024

    private enum State {
        case waiting
        case starting
        case created
        case running
        case draining(status: Int32)
        case ended(status: Int32)
    }

    private let configuration: SupervisorConfiguration
    private let machine: MicroVM
    private let timeline: Timeline
    private let signals: SignalDescriptor
    private var control: ControlChannel?
    private var outputs: [StreamRelay] = []
    /// Opens when the process is known to run: whoever sees its output may send it signals.
    private let outputGate: Gate
    private let filters: FilterSet
    /// The terminal's size changed when the process could not be told yet.
    private var resizeIsPending = false
    private var terminal: Terminal?
    private var state = State.waiting
    private var commands: ControlSocket?
    private lazy var executions = Executions(in: configuration.container, after: configuration.process, of: machine) { [unowned self] message in
        control?.send(message.frame.bytes)
    }
    /// A socket to the command that creates the container, until it has been told how that went.
    private var creator: Int32?
    /// `swiftlet start`, until it has been told how that went.
    private var starter: ControlSocket.Connection?
    /// Commands that wait for the agent's answers, which come in the order of the questions.
    private var (limiters, examiners): ([ControlSocket.Connection], [ControlSocket.Connection]) = ([], [])
    /// The guest's memory ran out, and the container's first process was killed for it.
    private var isOutOfMemory = false

    /// Blocks the forwarded signals; call before any thread starts. `creator`: a stream socket to the command that makes a container which is to live without it; told the outcome
    /// (`ControlReply`) when it is known.
    public init(
        _ configuration: SupervisorConfiguration, machine: MicroVM, filters: FilterSet, timeline: Timeline, creator: Int32? = nil
    ) throws {
        self.configuration = configuration
        self.creator = creator
        self.filters = filters
        outputGate = try Gate()
        self.machine = machine
        self.timeline = timeline
        ignoreSignal(SIGPIPE)
        signals = try SignalDescriptor(forwardedSignals)
    }

    /// Runs the machine until the container has ended; returns the exit status. Errors are printed here. `outputs`: where this process writes to besides disks.
    public func run(outputs: [Int32]) -> Int32 {
        do {
            try connectControl()
            try connectCommands()
            try connectStreams()
            try machine.eventLoop.add(signals.descriptor.raw, .readable) { [unowned self] _ in
                while let signal = signals.next() { forward(signal) }
            }
            if configuration.terminal {
                terminal = Terminal(STDIN_FILENO)
                terminal?.makeRaw()
            }
            defer { terminal?.restore() }
            try machine.start(outputs: outputs, connections: configuration.lifecycle == nil ? 0 : Self.connectionLimit)
            let end = try machine.run()
            if case .ended(let status) = state { return status }
            terminal?.restore()
            // Before the agent's first word there is nothing that the container could have written.
            if case .waiting = state {} else { drainAfterMachineEnd() }
            complain(machine.explain(end))
            return Supervisor.ownFailure
        } catch {
            complain("\(error)")
            return Supervisor.ownFailure
        }
    }

    /// To whoever is waiting for the outcome, or else where the container's own errors go.
    private func complain(_ sentence: String) {
        let reply = ControlReply(failure: sentence)
        if creator != nil { return tellCreator(reply) }
        if let starter {
            starter.answer(reply)
            self.starter = nil
            return
        }
        printError("swiftlet: " + sentence)
    }

    // MARK: Connections

    private func connectControl() throws {
        control = try ControlChannel.exposed(
            by: machine, received: { [unowned self] in receive($0) },
            failed: { [unowned self] error in if !isOver { fail(kind: .agent, text: "\(error)") } })
    }

    private func connectCommands() throws {
        guard let lifecycle = configuration.lifecycle, let creator else { return }
        // A creator that is gone before it was told had no time to say that there is such a container: nobody would ever start it.
        try machine.eventLoop.add(creator, .readable) { _ in Jail.orphaned() }
        commands = try ControlSocket(OwnedDescriptor(owning: lifecycle.control), of: lifecycle.owner, on: machine.eventLoop) {
            [unowned self] request, file, connection in
            obey(request, file, connection)
        } closed: { [unowned self] connection in
            executions.abandon(connection)
        }
    }

    private func connectStreams() throws {
        if configuration.terminal {
            let socket = try connectStream(configuration.outputPort)
            try addOutput(from: socket, to: STDOUT_FILENO)
            if configuration.inputPort != 0 { try StreamRelay().startInput(from: STDIN_FILENO, to: socket, filters) }
            return
        }
        if configuration.inputPort != 0 {
            try StreamRelay().startInput(from: STDIN_FILENO, to: try connectStream(configuration.inputPort), filters)
        }
        if configuration.outputPort != 0 { try addOutput(from: try connectStream(configuration.outputPort), to: STDOUT_FILENO) }
        if configuration.errorPort != 0 { try addOutput(from: try connectStream(configuration.errorPort), to: STDERR_FILENO) }
    }

    /// The supervisor's end stays open until the process exits: relays on other threads use it.
    private func connectStream(_ port: UInt32) throws -> Int32 {
        let pair = try OwnedDescriptor.socketPair(nonBlocking: false)
        try pair.second.setNonBlocking()
        try machine.expose(port: port, socket: pair.second)
        return pair.first.release()
    }

    private func addOutput(from socket: Int32, to target: Int32) throws {
        let relay = try StreamRelay()
        outputs.append(relay)
        let timeline = timeline
        try relay.startOutput(from: socket, to: target, behind: outputGate, filters) { timeline.mark(.firstOutput) }
        try machine.eventLoop.add(relay.endDescriptor, .readable) { [unowned self, unowned relay] _ in
            machine.eventLoop.remove(relay.endDescriptor)
            endIfDrained()
        }
    }

    // MARK: Events

    private func receive(_ message: AgentMessage) {
        if commands != nil, executions.receive(message) { return }
        switch (message, state) {
        case (.hello(AgentProtocol.version), .waiting):
            state = .starting
            control?.send(configuration.frames)
        case (.hello(let version), .waiting):
            fail(kind: .agent, text: "the initrd's agent speaks protocol \(version), not \(AgentProtocol.version): rebuild the initrd")
        case (.containerReady, .starting): break
        case (.processReady(configuration.process), .starting) where creator != nil:
            state = .created
            note(.created)
            tellCreator(.done)
        case (.processStarted(configuration.process, _), .starting): processRuns()
        case (.processExited(configuration.process, let status), .starting), (.processExited(configuration.process, let status), .running):
            processRuns()
            if isOver { return }
            state = .draining(status: status.code)
            endIfDrained()
        case (.failed(_, let kind, let text), .waiting), (.failed(_, let kind, let text), .starting), (.failed(_, let kind, let text), .created):
            fail(kind: kind, text: text.string)
        case (.outOfMemory, .running), (.outOfMemory, .starting): isOutOfMemory = true
        case (.containerLimited(_, let problem), _) where !limiters.isEmpty:
            let sentence = "the limits can't be changed in the machine: \(problem.string)"
            limiters.removeFirst().answer(problem.bytes.isEmpty ? .done : ControlReply(failure: sentence))
        case (.statistics(_, let statistics), _) where !examiners.isEmpty:
            examiners.removeFirst().answer(.statistics(statistics.wireBytes))
        case (.failed(_, _, let text), _): printError("swiftlet: \(text.string)")
        default: fail(kind: .agent, text: "the guest's agent sent a message out of turn")
        }
    }

    private func processRuns() {
        state = .running
        note(.running)
        starter?.answer(.done)
        starter = nil
        outputGate.open()
        if resizeIsPending { forward(SIGWINCH) }
        resizeIsPending = false
    }

    private func forward(_ signal: Int32) {
        switch state {
        case .waiting, .starting, .created:
            // Nobody in the guest can take it yet; a request to end is obeyed here.
            if [SIGINT, SIGTERM, SIGHUP, SIGQUIT].contains(signal) { end(status: 128 + signal) }
            if signal == SIGWINCH { resizeIsPending = true }
        case .running:
            if signal == SIGWINCH {
                guard configuration.terminal, let size = Terminal.size(of: STDIN_FILENO) ?? Terminal.size(of: STDOUT_FILENO) else { return }
                control?.send(HostMessage.resize(process: configuration.process, size: size).frame.bytes)
            } else {
                let number = signal == SIGTERM ? configuration.stopSignal : UInt8(signal)
                control?.send(HostMessage.signal(process: configuration.process, number: number).frame.bytes)
            }
        case .draining, .ended: break
        }
    }

    // MARK: Commands

    private func obey(_ request: ControlRequest, _ file: SharedDescriptor?, _ command: ControlSocket.Connection) {
        switch (request, state) {
        case (.stream, .running), (.stream, .created):
            guard let file, command.streams.count < 3 else { return command.answer(.failed("the process's streams can't be connected")) }
            command.streams.append(file)
        case (.execute, .running), (.execute, .created): executions.begin(file, for: command)
        case (.stream, _): break
        case (.execute, _): command.answer(.failed("cannot exec in a container that is not running"))
        case (.signal(let number), _) where command.process != nil:
            control?.send(HostMessage.signal(process: command.process ?? 0, number: number).frame.bytes)
        case (.limit(let memory, let processes), .running), (.limit(let memory, let processes), .created):
            limiters.append(command)
            let limits = ContainerLimits(memory: memory, processes: processes)
            control?.send(HostMessage.limit(container: configuration.container, limits).frame.bytes)
        case (.examine, .running), (.examine, .created):
            examiners.append(command)
            control?.send(HostMessage.examine(container: configuration.container).frame.bytes)
        case (.limit, _), (.examine, _): command.answer(.failed("container not running"))
        case (.resize(let rows, let columns), _):
            guard let process = command.process else { return }
            control?.send(HostMessage.resize(process: process, size: WindowSize(rows: rows, columns: columns)).frame.bytes)
        case (.start, .created):
            starter = command
            state = .starting
            control?.send(HostMessage.execute(process: configuration.process).frame.bytes)
        case (.start, _): command.answer(.failed("cannot start an already running container"))
        case (.signal(let number), .running):
            control?.send(HostMessage.signal(process: configuration.process, number: number).frame.bytes)
            command.answer(.done)
        case (.signal(let number), .created), (.signal(let number), .starting), (.signal(let number), .waiting):
            command.answer(.done)
            forward(Int32(number))
        case (.signal, .draining), (.signal, .ended): command.answer(.failed("container not running"))
        }
    }

    /// For those who ask for the container's state.
    private func note(_ status: LifecycleStatus) {
        guard let lifecycle = configuration.lifecycle else { return }
        try? writeAt(lifecycle.status, offset: 0, [status.rawValue])
    }

    private func tellCreator(_ reply: ControlReply) {
        guard let creator else { return }
        self.creator = nil
        machine.eventLoop.remove(creator)
        Launch.tell(creator, reply)
    }

    // MARK: Ends

    private var isOver: Bool {
        switch state {
        case .draining, .ended: true
        case .waiting, .starting, .created, .running: false
        }
    }

    private func fail(kind: FailureKind, text: String) {
        terminal?.restore()
        complain(text + machine.hostFailure)
        end(status: kind.exitCode)
    }

    private func end(status: Int32) {
        state = .ended(status: status)
        machine.eventLoop.stop()
    }

    /// The exit status is reported only when the container's last output byte has been written.
    private func endIfDrained() {
        guard case .draining(let status) = state, outputs.allSatisfy(\.hasEnded) else { return }
        if let failure = outputs.lazy.compactMap(\.failure).first { return fail(kind: .agent, text: "the container's output was lost: \(failure)") }
        // What the guest believed to be written is not: its status means nothing.
        if isOutOfMemory, configuration.lifecycle != nil { machine.dieOutOfMemory() }
        if machine.hostFailure.isEmpty { end(status: status) } else { fail(kind: .storageFull, text: "the container's files were lost") }
    }

    /// After a panic or a fault: what the container had written still comes out, if its reader takes it.
    private func drainAfterMachineEnd() {
        machine.disconnectStreams()
        outputGate.open()
        let deadline = monotonicNanoseconds() + 2_000_000_000
        while !outputs.allSatisfy(\.hasEnded), monotonicNanoseconds() < deadline { usleep(1000) }
    }
}
