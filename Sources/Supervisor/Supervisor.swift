// The container's supervisor inside the VMM's process: its streams, its signals, its exit status.
//
//   waiting ──hello──▶ starting ──processStarted──▶ running ──processExited──▶ draining ──outputs ended──▶ ended(status)
//      │                  │                             │
//      └──────────────────┴──── failed, machine ended, agent gone ────────────────────────────────────────▶ ended(125…127)
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

    private enum State {
        case waiting
        case starting
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

    /// Blocks the forwarded signals; call before any thread starts.
    public init(_ configuration: SupervisorConfiguration, machine: MicroVM, filters: FilterSet, timeline: Timeline) throws {
        self.configuration = configuration
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
            try connectStreams()
            try machine.eventLoop.add(signals.descriptor.raw, .readable) { [unowned self] _ in
                while let signal = signals.next() { forward(signal) }
            }
            if configuration.terminal {
                terminal = Terminal(STDIN_FILENO)
                terminal?.makeRaw()
            }
            defer { terminal?.restore() }
            try machine.start(outputs: outputs)
            let end = try machine.run()
            if case .ended(let status) = state { return status }
            terminal?.restore()
            // Before the agent's first word there is nothing that the container could have written.
            if case .waiting = state {} else { drainAfterMachineEnd() }
            printError("swiftlet: " + machine.explain(end))
            return Supervisor.ownFailure
        } catch {
            printError("swiftlet: \(error)")
            return Supervisor.ownFailure
        }
    }

    // MARK: Connections

    private func connectControl() throws {
        control = try ControlChannel.exposed(
            by: machine, received: { [unowned self] in receive($0) },
            failed: { [unowned self] error in if !isOver { fail(kind: .agent, text: "\(error)") } })
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
        switch (message, state) {
        case (.hello(AgentProtocol.version), .waiting):
            state = .starting
            control?.send(configuration.frames)
        case (.hello(let version), .waiting):
            fail(kind: .agent, text: "the initrd's agent speaks protocol \(version), not \(AgentProtocol.version): rebuild the initrd")
        case (.containerReady, .starting): break
        case (.processStarted(configuration.process, _), .starting): processRuns()
        case (.processExited(configuration.process, let status), .starting), (.processExited(configuration.process, let status), .running):
            processRuns()
            if isOver { return }
            state = .draining(status: status.code)
            endIfDrained()
        case (.failed(let kind, let text), .waiting), (.failed(let kind, let text), .starting): fail(kind: kind, text: text.string)
        case (.failed(_, let text), _): printError("swiftlet: \(text.string)")
        default: fail(kind: .agent, text: "the guest's agent sent a message out of turn")
        }
    }

    private func processRuns() {
        state = .running
        outputGate.open()
        if resizeIsPending { forward(SIGWINCH) }
        resizeIsPending = false
    }

    private func forward(_ signal: Int32) {
        switch state {
        case .waiting, .starting:
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

    // MARK: Ends

    private var isOver: Bool {
        switch state {
        case .draining, .ended: true
        case .waiting, .starting, .running: false
        }
    }

    private func fail(kind: FailureKind, text: String) {
        terminal?.restore()
        printError("swiftlet: \(text)" + machine.hostFailure)
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
