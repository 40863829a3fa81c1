// The guest's PID 1: one thread, one poller. Boot to hello; then what the host asks for.
internal import AgentProtocol
internal import CGuest
internal import GuestSystem
internal import Unpacker
internal import Wire

@_cdecl("main")
public func agentMain() -> Int32 {
    let timeline = openTimeline()
    InputOutput.writeByte(timeline, TimelineMark.initStarted.rawValue, at: Int64(AgentProtocol.timelinePort))
    do throws(SystemError) {
        let control = try Machine.connect(toHostPort: AgentProtocol.controlPort, blocking: true)
        let agent = try Agent(control: control.take(), timeline: timeline)
        agent.run()
    } catch { Machine.fail("the host can't be reached over vsock: \(error)") }
}

/// Descriptors 0 to 2 may be closed when the kernel found no console; nothing else must get these numbers.
private func openTimeline() -> Int32 {
    try? FileSystem.makeNode("/null", mode: FileType.characterDevice | 0o600, major: 1, minor: 3)
    while let null = try? OwnedDescriptor.open("/null", O_RDWR) {
        if null.raw > 2 { break }
        _ = null.release()
    }
    try? FileSystem.makeNode("/port", mode: FileType.characterDevice | 0o600, major: 1, minor: 4)
    guard let port = try? OwnedDescriptor.open("/port", O_WRONLY) else { return -1 }
    return port.release()
}

final class Agent {
    /// What a token of the poller stands for.
    private enum Source {
        case control
        case childSignal
        case unpacking(LayerWork)
        case starting(ContainerProcess)
        case stream(Endpoint)
    }

    private let poller: Poller
    private let control: OwnedDescriptor
    private let childSignal: OwnedDescriptor
    private let timeline: Int32
    private var reader = FrameReader()
    private var sources: [Source?] = []
    private var containers: [Container] = []
    private var processes: [ContainerProcess] = []
    private var layerWork: LayerWork?
    /// The layer before left its disk to the next one.
    private var diskIsMounted = false
    private var isPrepared = false

    init(control: consuming OwnedDescriptor, timeline: Int32) throws(SystemError) {
        poller = try Poller()
        childSignal = try Processes.childSignal()
        self.control = control
        self.timeline = timeline
        try watch(self.control.raw, .control)
        try watch(childSignal.raw, .childSignal)
    }

    func run() -> Never {
        mark(.connected)
        send(.hello(version: AgentProtocol.version))
        var isBusy = false
        while true {
            for event in poller.wait(blocking: !isBusy) { handle(event) }
            isBusy = pumpStreams()
            finishProcesses()
        }
    }

    private func mark(_ mark: TimelineMark) { InputOutput.writeByte(timeline, mark.rawValue, at: Int64(AgentProtocol.timelinePort)) }

    private func send(_ message: AgentMessage) {
        do { try InputOutput.writeAll(control.raw, message.frame.bytes) } catch { Machine.fail("the host's connection is gone: \(error)") }
    }

    private func report(_ failure: Failure, process: UInt32 = 0) { report(failure.kind, failure.text.bytes, process: process) }

    private func report(_ kind: FailureKind, _ text: [UInt8], process: UInt32 = 0) {
        send(.failed(process: process, kind: kind, text: Text(bytes: text.filter { $0 != 0 }) ?? "unknown"))
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
        case .control: readControl()
        case .childSignal: reapChildren()
        case .unpacking(let work): layerReported(work)
        case .starting(let process): startReported(process)
        case .stream(let endpoint): endpoint.note(event)
        }
    }

    private func readControl() {
        var buffer = [UInt8](repeating: 0, count: 8 << 10)
        guard let count = try? InputOutput.read(control.raw, into: &buffer, count: buffer.count), count > 0 else { Machine.reset() }
        reader.append(buffer[..<count])
        do throws(WireError) {
            while let frame = try reader.next() { handle(try HostMessage(frame)) }
        } catch { Machine.fail("the host sent a message that this agent does not know") }
    }

    private func handle(_ message: HostMessage) {
        switch message {
        case .unpackLayer(let layer):
            do { try unpack(layer) } catch { report(error) }
        case .createContainer(let spec):
            do { try create(spec) } catch { report(error) }
        case .startProcess(let spec):
            do { try start(spec) } catch { report(error, process: spec.process) }
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
        case .shutDown: Machine.reset()
        }
    }

    /// What every request but the first finds done.
    private func prepare() throws(Failure) {
        if isPrepared { return }
        try RootFileSystem.prepareMachine()
        isPrepared = true
    }

    // MARK: Layers

    private func unpack(_ layer: LayerSpec) throws(Failure) {
        if layerWork != nil { throw Failure(.agent, "a layer is being unpacked already") }
        try prepare()
        let work = try LayerWork.start(layer, diskIsMounted: diskIsMounted)
        layerWork = work
        do throws(SystemError) { try watch(work.report.raw, .unpacking(work)) } catch { throw Failure(.agent, "\(error)") }
    }

    private func layerReported(_ work: LayerWork) {
        forget(work.report.raw) { if case .unpacking = $0 { true } else { false } }
        layerWork = nil
        diskIsMounted = work.leavesDiskMounted
        if let failure = work.finish() { report(failure.kind, failure.text) } else { send(.layerUnpacked) }
    }

    // MARK: Containers

    private func create(_ spec: ContainerSpec) throws(Failure) {
        guard !containers.contains(where: { $0.spec.container == spec.container }) else {
            throw Failure(.agent, "container \(Int(spec.container)) exists already")
        }
        try prepare()
        if containers.isEmpty {
            Machine.bringLoopbackUp()
            do { try ControlGroup.prepareMachine() } catch { throw Failure(.agent, "control groups can't be mounted: \(error)") }
            if spec.hasTrees { try RootFileSystem.mountTrees() }
        }
        try RootFileSystem.mount(spec)
        containers.append(Container(spec, group: try ControlGroup.make(spec)))
        mark(.rootReady)
        send(.containerReady(container: spec.container))
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
                    report: theirs.raw, timeline: timeline)
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
            if packet.bytes[0] == ReportTag.ready { send(.processReady(process: process.number)) }
            if packet.bytes[0] == ReportTag.terminal, packet.descriptor >= 0 { connectTerminal(process, OwnedDescriptor(owning: packet.descriptor)) }
            return
        }
        forget(process.report.raw) { if case .starting(let other) = $0 { other === process } else { false } }
        if process.failure == nil {
            if case .starting = process.state { process.state = .running }
            send(.processStarted(process: process.number, pid: UInt32(process.pid)))
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
            if let layerWork, layerWork.worker == pid { layerWork.status = status }
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
                mark(.processExited)
            }
            if let failure = process.failure {
                report(failure.kind, failure.text, process: process.number)
                continue
            }
            switch status {
            case .exited(let code): send(.processExited(process: process.number, status: .exited(code)))
            case .signalled(let number): send(.processExited(process: process.number, status: .signalled(number)))
            }
        }
    }
}
