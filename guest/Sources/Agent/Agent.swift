// The guest's PID 1: one thread, one poller. Boot to hello; then what the host asks for.
internal import AgentProtocol
internal import CGuest
internal import FirstProcess
internal import GuestSystem
internal import Wire

@_cdecl("main")
public func agentMain() -> Int32 {
    let host = HostLink()
    do throws(SystemError) { try Agent(host).run() } catch { Machine.fail("the agent can't begin: \(error)") }
}

final class Agent {
    /// What a token of the poller stands for.
    private enum Source {
        case control
        case childSignal
        case starting(ContainerProcess)
        case stream(Endpoint)
    }

    private let poller: Poller
    private let host: HostLink
    private let childSignal: OwnedDescriptor
    private var sources: [Source?] = []
    private var containers: [Container] = []
    private var processes: [ContainerProcess] = []

    init(_ host: HostLink) throws(SystemError) {
        poller = try Poller()
        childSignal = try Processes.childSignal()
        self.host = host
        try watch(host.descriptor.raw, .control)
        try watch(childSignal.raw, .childSignal)
    }

    func run() -> Never {
        var isBusy = false
        while true {
            for event in poller.wait(blocking: !isBusy) { handle(event) }
            isBusy = pumpStreams()
            finishProcesses()
        }
    }

    // MARK: The poller

    private func watch(_ descriptor: Int32, _ source: Source, edgeTriggered: Bool = false) throws(SystemError) {
        var token = 0
        while token < sources.count, sources[token] != nil { token += 1 }
        try poller.add(descriptor, token: UInt64(token), edgeTriggered: edgeTriggered)
        if token == sources.count { sources.append(source) } else { sources[token] = source }
    }

    private func forget(_ descriptor: Int32, where isIt: (Source) -> Bool) {
        poller.remove(descriptor)
        for token in 0..<sources.count {
            if let source = sources[token], isIt(source) { sources[token] = nil }
        }
    }

    private func handle(_ event: PollEvent) {
        guard let source = sources[Int(event.token)] else { return }
        switch source {
        case .control: host.receive { handle($0) }
        case .childSignal: reapChildren()
        case .starting(let process): startReported(process)
        case .stream(let endpoint): endpoint.note(event)
        }
    }

    private func handle(_ message: HostMessage) {
        switch message {
        case .unpackLayer: host.report(Failure(.agent, "this machine's initrd runs containers, and unpacks no layers"))
        case .createContainer(let spec):
            do { try create(spec) } catch { host.report(error) }
        case .startProcess(let spec):
            do { try start(spec) } catch { host.report(error, process: spec.process) }
        case .execute(let number):
            for process in processes where process.number == number { try? InputOutput.send(process.report.raw, [ReportTag.ready]) }
        case .signal(let number, let signal):
            // One that has ended takes no signals; its exit is on its way.
            for process in processes where process.number == number {
                if case .ended = process.state { continue }
                try? Processes.signal(process.pid, signal)
            }
        case .resize(let number, let size):
            for process in processes where process.number == number {
                if let terminal = process.terminal { Terminal.resize(terminal.descriptor.raw, rows: size.rows, columns: size.columns) }
            }
        case .limit(let container, let limits):
            var problem: Sentence = ""
            do throws(SystemError) { try ControlGroup.limit(container, limits) } catch { problem = "\(error)" }
            host.send(.containerLimited(container: container, problem: Text(bytes: problem.bytes) ?? ""))
        case .examine(let container): host.send(.statistics(container: container, ControlGroup.statistics(container)))
        case .shutDown: Machine.reset()
        }
    }

    // MARK: Containers

    private func create(_ spec: ContainerSpec) throws(Failure) {
        guard !containers.contains(where: { $0.spec.container == spec.container }) else {
            throw Failure(.agent, "container \(Int(spec.container)) exists already")
        }
        if containers.isEmpty {
            try MachineFiles.prepare(["/containers", "/images"])
            Machine.bringLoopbackUp()
            do { try ControlGroup.prepareMachine() } catch { throw Failure(.agent, "control groups can't be mounted: \(error)") }
            if spec.hasTrees { try RootFileSystem.mountTrees() }
        }
        var identities: [Int32] = []
        if spec.identities != nil || spec.mounts.contains(where: { $0.identities != nil }) {
            try UserNamespace.prepare()
            for mount in spec.mounts { if let map = mount.identities { identities.append(try UserNamespace.make(map)) } }
        }
        try RootFileSystem.mount(spec)
        containers.append(Container(spec, group: try ControlGroup.make(spec), identities: identities))
        host.mark(.rootReady)
        host.send(.containerReady(container: spec.container))
    }

    // MARK: Processes

    private func start(_ spec: ProcessSpec) throws(Failure) {
        guard let container = containers.first(where: { $0.spec.container == spec.container }) else {
            throw Failure(.agent, "there is no container \(Int(spec.container))")
        }
        switch container.state {
        case .ready: try start(spec, in: container, joining: nil)
        case .running(let first): try start(spec, in: container, joining: first)
        case .ended: throw Failure(.agent, "container \(Int(spec.container)) has ended")
        }
    }

    private func start(_ spec: ProcessSpec, in container: Container, joining first: Int32?) throws(Failure) {
        do throws(SystemError) {
            let ends = try ChildEnds(spec.streams)
            let process = try OwnedDescriptor.packetPair().use { (ours, theirs) throws(SystemError) in
                let launch = Launch(
                    container: container, process: spec, joins: first, input: ends.input, output: ends.output, error: ends.error,
                    report: theirs.raw, timeline: host.timeline)
                let group = container.group.raw
                let child =
                    if let first { try Processes.fork(joiningProcessesOf: first, cgroup: group) } else {
                        try Processes.fork(into: Launch.namespaces, cgroup: group)
                    }
                if child == 0 { launch.run() }
                return ContainerProcess(spec, in: container, pid: child, isFirst: first == nil, report: ours, streams: ends.ours)
            }
            ends.closeTheirs()
            if first == nil { container.state = .running(first: try Processes.open(process.pid).release()) }
            processes.append(process)
            try watch(process.report.raw, .starting(process))
            for endpoint in process.endpoints { try watch(endpoint.descriptor.raw, .stream(endpoint), edgeTriggered: true) }
        } catch { throw Failure(.agent, "the guest can't start a process: \(error)") }
    }

    private func startReported(_ process: ContainerProcess) {
        if let packet = try? InputOutput.receive(process.report.raw, atMost: Report.lengthLimit), !packet.bytes.isEmpty {
            if let failure = Report.failure(packet.bytes) { process.failure = failure }
            if packet.bytes[0] == ReportTag.ready { host.send(.processReady(process: process.number)) }
            if packet.bytes[0] == ReportTag.userNamespace, let identities = process.container.spec.identities {
                do throws(Failure) {
                    try UserNamespace.write(identities, of: process.pid)
                    try? InputOutput.send(process.report.raw, [ReportTag.userNamespace])
                } catch { Report.send(error, on: process.report.raw) }
            }
            if packet.bytes[0] == ReportTag.terminal, packet.descriptor >= 0 { connectTerminal(process, OwnedDescriptor(owning: packet.descriptor)) }
            return
        }
        forget(process.report.raw) { if case .starting(let other) = $0 { other === process } else { false } }
        if process.failure == nil {
            if case .starting = process.state { process.state = .running }
            host.send(.processStarted(process: process.number, pid: UInt32(process.pid)))
        }
    }

    /// The master joins the connection that `ChildEnds` opened for it.
    private func connectTerminal(_ process: ContainerProcess, _ master: consuming OwnedDescriptor) {
        guard let host = process.endpoints.first else { return }
        let terminal = Endpoint(master, isSocket: false)
        process.terminal = terminal
        process.endpoints.append(terminal)
        process.input = Relay(from: host, to: terminal)
        process.outputs = [Relay(from: terminal, to: host)]
        try? watch(terminal.descriptor.raw, .stream(terminal), edgeTriggered: true)
    }

    private func reapChildren() {
        Processes.drain(childSignal.raw)
        while let (pid, status) = Processes.reap() {
            for process in processes where process.pid == pid {
                process.state = .ended(status)
                for output in process.outputs { output.endsWhenEmpty = true }
            }
        }
    }

    // MARK: Streams

    private func pumpStreams() -> Bool {
        var isBusy = false
        for process in processes {
            if let input = process.input {
                if input.pump() { isBusy = true }
                if input.isDone {
                    process.input = nil
                    // The end of a pipe is closed with its endpoint; a terminal has no half to close.
                    if process.terminal == nil { close(input, of: process) }
                }
            }
            for output in process.outputs {
                if output.pump() { isBusy = true }
                guard output.isDone else { continue }
                // Dropped, so that the last reference goes and the pipe's reading end with it: a writer whose reader is gone must notice.
                process.outputs.removeAll { $0 === output }
                close(output, of: process)
                // A terminal that nobody reads is hung up.
                if process.terminal != nil { process.input = nil }
                process.terminal = nil
            }
        }
        return isBusy
    }

    private func close(_ relay: Relay, of process: ContainerProcess) {
        for endpoint in relay.endpoints { forget(endpoint) }
        process.endpoints.removeAll { endpoint in relay.endpoints.contains { $0 === endpoint } }
    }

    private func forget(_ endpoint: Endpoint) {
        forget(endpoint.descriptor.raw) { if case .stream(let other) = $0 { other === endpoint } else { false } }
    }

    private func isStarting(_ process: ContainerProcess) -> Bool {
        sources.contains { if case .starting(let other) = $0 { other === process } else { false } }
    }

    /// Reports processes that have ended and whose output is with the host.
    private func finishProcesses() {
        for process in processes {
            guard case .ended(let status) = process.state, process.outputs.isEmpty else { continue }
            // The report's end may come after the child's.
            while isStarting(process) { startReported(process) }
            // That may have brought the terminal, with all that was written to it.
            for output in process.outputs { output.endsWhenEmpty = true }
            guard process.outputs.isEmpty else { continue }
            for endpoint in process.endpoints { forget(endpoint) }
            process.endpoints = []
            process.input = nil
            process.outputs = []
            processes.removeAll { $0 === process }
            if process.isFirst {
                process.container.state = .ended
                host.mark(.processExited)
            }
            if let failure = process.failure {
                host.report(failure, process: process.number)
                continue
            }
            switch status {
            case .exited(let code): host.send(.processExited(process: process.number, status: .exited(code)))
            case .signalled(let number):
                let container = process.container.spec.container
                // SIGKILL
                if number == 9, process.isFirst, ControlGroup.outOfMemoryKills(container) > 0 { host.send(.outOfMemory(container: container)) }
                host.send(.processExited(process: process.number, status: .signalled(number)))
            }
        }
    }
}
