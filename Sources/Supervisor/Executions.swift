// Processes that `swiftlet exec` brings into the container, each for a process of the host that holds its streams and has its connection (docs/adr/0017).
import AgentProtocol
import LaunchConfiguration
import LinuxSystem
import VMM
import Wire

final class Executions {
    private struct Execution {
        let command: ControlSocket.Connection
        let ports: [UInt32]
    }

    private let container: UInt32
    private let machine: MicroVM
    private let send: (HostMessage) -> Void
    private var running: [UInt32: Execution] = [:]
    private var nextProcess: UInt32
    /// Above those of the container's first process.
    private var nextPort: UInt32 = 2048

    /// `first`: the number of the container's first process.
    init(in container: UInt32, after first: UInt32, of machine: MicroVM, send: @escaping (HostMessage) -> Void) {
        self.container = container
        self.machine = machine
        self.send = send
        nextProcess = first + 1
    }

    /// `file` holds a ProcessSpec whose streams are those of `command`.
    func begin(_ file: SharedDescriptor?, for command: ControlSocket.Connection) {
        let streams = command.streams
        command.streams = []
        guard command.process == nil, let file, let bytes = try? readAll(file.raw, limit: Frame.payloadLimit + 1), bytes.count <= Frame.payloadLimit,
            var spec = try? ProcessSpec(wireBytes: bytes)
        else { return command.answer(.failed("the process makes no sense to the machine: swiftlet and swiftlet-vmm are of different versions")) }
        var ports: [UInt32] = []
        do {
            for stream in streams {
                try machine.expose(port: nextPort, socket: stream)
                ports.append(nextPort)
                nextPort = nextPort == .max / 2 ? 2048 : nextPort + 1
            }
        } catch {
            withdraw(ports)
            return command.answer(ControlReply(failure: "the process's streams can't be connected: \(error)"))
        }
        func port(_ number: UInt32) -> UInt32 { ports.indices.contains(Int(number) - 1) ? ports[Int(number) - 1] : 0 }
        spec.streams =
            switch spec.streams {
            case .pipes(let input, let output, let error): .pipes(input: port(input), output: port(output), error: port(error))
            case .terminal(let number, let size): .terminal(port: port(number), size: size)
            }
        spec.container = container
        spec.process = nextProcess
        command.process = nextProcess
        running[nextProcess] = Execution(command: command, ports: ports)
        nextProcess = nextProcess == .max ? 2 : nextProcess + 1
        send(.startProcess(spec))
    }

    /// What the agent says of one of these processes. False for a message about another one.
    func receive(_ message: AgentMessage) -> Bool {
        switch message {
        case .processStarted(let process, _):
            guard let execution = running[process] else { return false }
            execution.command.answer(.done)
        case .processExited(let process, let status):
            guard let execution = running.removeValue(forKey: process) else { return false }
            execution.command.answer(.exited(UInt8(truncatingIfNeeded: status.code)))
        case .failed(let process, _, let text):
            guard let execution = running.removeValue(forKey: process) else { return false }
            withdraw(execution.ports)
            execution.command.process = nil
            execution.command.answer(ControlReply(failure: text.string))
        default: return false
        }
        return true
    }

    /// The host's process is gone: the guest's goes with it. Its end is still reported by the agent.
    func abandon(_ command: ControlSocket.Connection) {
        guard let process = command.process, running[process] != nil else { return }
        send(.signal(process: process, number: 9))
    }

    /// Those to which nobody has connected.
    private func withdraw(_ ports: [UInt32]) { for port in ports { machine.withdraw(port: port) } }
}
