// `swiftlet exec`: one more process in a container. It has a process of the host for itself (docs/adr/0017), which holds its streams, passes signals on, and ends as it does:
// this one, or with --detach a child of it, which an engine adopts.
import AgentProtocol
import CLinux
import Glibc
import LaunchConfiguration
import LinuxSystem
import OCI
import Wire

/// What `swiftlet exec` was asked for.
struct ExecOptions {
    var isDetached = false
    var pidFile: Text?
    var consoleSocket: Text?
    /// A file with the process; otherwise it is like the container's own, but for what follows.
    var processFile: Text?
    var arguments: [Text] = []
    var environment: [Text] = []
    var workingDirectory: Text?
    /// UID[:GID]
    var user: Text?
    var terminal = false
    var capabilities: [Text] = []
    var additionalGroups: [UInt32] = []
    var noNewPrivileges = false
}

enum ExecContainer {
    /// Returns the exit status.
    static func run(_ options: ExecOptions, _ directory: ContainerDirectory) throws(ContainerError) -> Int32 {
        let record = try directory.requireRecord()
        guard [.running, .created].contains(directory.status(of: record)) else {
            throw .container("cannot exec in a container that is \(directory.status(of: record).rawValue)")
        }
        let process = try Self.process(options, record)
        if process.terminal && options.isDetached && options.consoleSocket == nil {
            throw .container("cannot allocate tty if runtime will detach without setting console socket: give --console-socket")
        }
        if options.consoleSocket != nil && !process.terminal {
            throw .container("cannot use console socket without a terminal: leave --console-socket out, or give --tty")
        }
        let connection = try directory.connect(limit: ControlReply.sizeLimit)
        let filter = try directory.seccomp()
        let console = options.consoleSocket == nil ? nil : try Console(size: process.consoleSize)
        if let socket = options.consoleSocket { try console?.send(to: socket) }
        let proxy = ExecProxy(process, filter: filter, connection)
        guard options.isDetached else {
            if let console { try take(console) }
            try writePID(getpid(), options)
            return try proxy.run(started: {})
        }
        return try detach(proxy, console, options)
    }

    // MARK: The process

    private static func process(_ options: ExecOptions, _ record: ContainerRecord) throws(ContainerError) -> RuntimeSpecification.Process {
        var value = record.template
        if let path = options.processFile {
            let bytes: [UInt8]
            do throws(SystemError) {
                let file = try OwnedDescriptor.open(path: path.bytes, O_RDONLY)
                bytes = try readAll(file.raw, limit: Int(JSONDocument.sizeLimit) + 1)
            } catch { throw .file(what: "the process's description", error, remedy: "check --process") }
            guard bytes.count <= Int(JSONDocument.sizeLimit), let parsed = JSONValue(bytes) else {
                throw .container("\(path.string) is not JSON of at most 4 MiB: check --process")
            }
            value = parsed
        }
        do throws(FieldError) {
            if let refusal = try RuntimeSpecification.refusals(ofProcess: value).first { throw refusal }
            var process = try RuntimeSpecification.Process(value)
            if options.processFile == nil {
                guard !options.arguments.isEmpty else { throw FieldError(path: "args", problem: " must not be empty: give a command") }
                process.arguments = options.arguments.map(\.string)
                process.environment += options.environment.map(\.string)
                process.terminal = options.terminal
                if options.noNewPrivileges { process.noNewPrivileges = true }
                if let directory = options.workingDirectory { process.workingDirectory = directory.string }
                if let user = options.user {
                    let parts = user.string.split(separator: ":", omittingEmptySubsequences: false).map { UInt32($0) }
                    guard parts.count <= 2, let number = parts[0], let group = parts.count > 1 ? parts[1] : 0 else {
                        throw FieldError(path: "user", problem: " \"\(user.string)\" is not UID[:GID]")
                    }
                    process.user = RuntimeSpecification.User(user: number, group: group)
                }
                process.user.additionalGroups += options.additionalGroups
                let added = options.capabilities.map(\.string)
                process.bounding = (process.bounding ?? []) + added
                process.effective += added
                process.permitted += added
                // None is ambient that isn't inheritable.
                if !process.inheritable.isEmpty { process.ambient += added }
            }
            try checked(process)
            return process
        } catch { throw .container("process\(error.path.isEmpty ? "" : "." + error.path)\(error.problem)") }
    }

    private static func checked(_ process: RuntimeSpecification.Process) throws(FieldError) {
        do throws(ContainerError) { try process.checkTexts() } catch { throw FieldError(path: "", problem: " holds a NUL character") }
    }

    // MARK: Its process of the host

    /// The terminal's side of the container as the standard streams of this process, which it controls from now on.
    private static func take(_ console: Console) throws(ContainerError) {
        do throws(SystemError) {
            let terminal = console.user.raw
            try systemCall("ioctl TIOCSCTTY") { clinux_ioctl(terminal, CLINUX_TIOCSCTTY, 0) }
            for number in STDIN_FILENO...STDERR_FILENO { try systemCall("dup2") { dup2(terminal, number) } }
        } catch { throw .system(what: "the terminal cannot be used", error) }
    }

    private static func writePID(_ pid: Int32, _ options: ExecOptions) throws(ContainerError) {
        if let path = options.pidFile { try PIDFile.write(pid, to: path) }
    }

    /// Lives on in a child; this process waits until it has begun.
    private static func detach(_ proxy: ExecProxy, _ console: Console?, _ options: ExecOptions) throws(ContainerError) -> Int32 {
        let report: SocketPair
        do throws(SystemError) { report = try OwnedDescriptor.packetSocketPair() } catch {
            throw .system(what: "the process cannot be detached", error)
        }
        let (ours, theirs) = (report.first.release(), report.second.release())
        let child = fork()
        if child == 0 {
            close(ours)
            setsid()
            let socket = PacketSocket(owning: OwnedDescriptor(owning: theirs), limit: 1)
            do throws(ContainerError) {
                if let console { try take(console) }
                let status = try proxy.run { try? socket.send(ControlReply.done.wireBytes) }
                _exit(status)
            } catch {
                try? socket.send(ControlReply(failure: error.description).wireBytes)
                _exit(255)
            }
        }
        close(theirs)
        let socket = PacketSocket(owning: OwnedDescriptor(owning: ours), limit: ControlReply.sizeLimit)
        guard child > 0 else { throw .system(what: "the process cannot be detached", SystemError(call: "fork", errno: clinux_errno())) }
        let reply = (try? socket.receive()).flatMap { packet in try? ControlReply(wireBytes: packet.bytes) }
        switch reply {
        case .done: break
        case .failed(let sentence): throw .container(sentence.string)
        case .exited, .statistics, nil: throw .container("the container ended before the process began")
        }
        do throws(ContainerError) { try writePID(child, options) } catch {
            kill(child, SIGKILL)
            throw error
        }
        return 0
    }
}

enum PIDFile {
    /// Whole or not at all: engines wait for the name.
    static func write(_ pid: Int32, to path: Text) throws(ContainerError) {
        let slash = path.bytes.lastIndex(of: UInt8(ascii: "/"))
        let directory = slash.map { Array(path.bytes[...$0]) } ?? Array("./".utf8)
        let temporary = directory + [UInt8(ascii: ".")] + path.bytes[(slash.map { $0 + 1 } ?? 0)...] + Array(".new".utf8)
        do throws(SystemError) {
            let file = try OwnedDescriptor.open(path: temporary, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644)
            try writeAll(file.raw, Array("\(pid)".utf8))
            try OwnedDescriptor.rename(path: temporary, to: path.bytes)
        } catch { throw .system(what: "the pid file \(path.string) cannot be written", error) }
    }
}
