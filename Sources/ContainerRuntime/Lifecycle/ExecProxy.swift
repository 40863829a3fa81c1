// The host's process of a process that `swiftlet exec` has brought into a container: it is what an engine sees, signals and waits for.
import AgentProtocol
import CLinux
import Glibc
import LaunchConfiguration
import LinuxSystem
import OCI
import Wire

struct ExecProxy {
    private let process: RuntimeSpecification.Process
    private let filter: [UInt8]
    private let connection: PacketSocket

    init(_ process: RuntimeSpecification.Process, filter: [UInt8], _ connection: PacketSocket) {
        self.process = process
        self.filter = filter
        self.connection = connection
    }

    /// Runs the process to its end; returns its exit status. `started` is called when it runs.
    func run(started: () -> Void) throws(ContainerError) -> Int32 {
        do {
            let mode = process.terminal ? TerminalMode() : nil
            ignoreSignal(SIGPIPE)
            let signals = try SignalDescriptor(forwardedSignals)
            let outputs = try begin()
            mode?.makeRaw()
            defer { mode?.restore() }
            switch try reply() {
            case .done: break
            case .failed(let sentence): throw ContainerError.container(sentence.string)
            case .exited, .statistics, nil: throw ContainerError.container("the container ended before the process began")
            }
            started()
            let status = try attend(signals)
            // The last bytes are on their way.
            for output in outputs { output.join() }
            return status
        } catch let error as SystemError {
            throw .system(what: "the process cannot be executed", error)
        } catch let error as ContainerError { throw error } catch { preconditionFailure("no other errors are thrown") }
    }

    // MARK: Streams

    /// Sends the streams' other ends and the process; returns the threads that write its output.
    private func begin() throws -> [JoinableThread] {
        var outputs: [JoinableThread] = []
        let streams: ProcessStreams
        if process.terminal {
            let socket = try connect()
            try Thread.start(named: "input") { StreamCopy.input(from: STDIN_FILENO, to: socket) }
            outputs.append(try Thread.startJoinable(named: "output") { StreamCopy.output(from: socket, to: STDOUT_FILENO) })
            let size = TerminalMode.size(of: STDIN_FILENO)
            streams = .terminal(port: 1, size: size ?? process.windowSize)
        } else {
            let input = try connect()
            try Thread.start(named: "input") { StreamCopy.input(from: STDIN_FILENO, to: input) }
            for (target, name) in [(STDOUT_FILENO, "output"), (STDERR_FILENO, "error")] as [(Int32, StaticString)] {
                let socket = try connect()
                outputs.append(try Thread.startJoinable(named: name) { StreamCopy.output(from: socket, to: target) })
            }
            streams = .pipes(input: 1, output: 2, error: 3)
        }
        let spec = try process.spec(streams, filter: filter)
        let memory = try OwnedDescriptor.memory(named: "swiftlet-process")
        let bytes = spec.wireBytes
        guard bytes.count <= Frame.payloadLimit else { throw ContainerError.tooLargeRequest }
        try writeAt(memory.raw, offset: 0, bytes)
        try connection.send(ControlRequest.execute.wireBytes, with: memory.raw)
        withExtendedLifetime(memory) {}
        return outputs
    }

    /// This process's end stays open until it exits: threads use it.
    private func connect() throws -> Int32 {
        let pair = try OwnedDescriptor.socketPair(nonBlocking: false)
        try pair.second.setNonBlocking()
        try connection.send(ControlRequest.stream.wireBytes, with: pair.second.raw)
        return pair.first.release()
    }

    private func reply() throws -> ControlReply? {
        guard let packet = try connection.receive() else { return nil }
        return try? ControlReply(wireBytes: packet.bytes)
    }

    // MARK: Its life

    private func attend(_ signals: borrowing SignalDescriptor) throws -> Int32 {
        var entries = [
            pollfd(fd: signals.descriptor.raw, events: Int16(POLLIN), revents: 0), pollfd(fd: connection.raw, events: Int16(POLLIN), revents: 0),
        ]
        while true {
            // SAFETY: poll reads and writes the array's two entries.
            try systemCall("poll") { unsafe entries.withUnsafeMutableBufferPointer { unsafe poll($0.baseAddress, 2, -1) } }
            while let signal = signals.next() { try forward(signal) }
            guard entries[1].revents != 0 else { continue }
            do {
                if case .exited(let code) = try reply() { return Int32(code) }
            } catch let error as SystemError { if error.errno != ECONNRESET { throw error } }
            // The machine has ended, and everything in it.
            return 128 + SIGKILL
        }
    }

    private func forward(_ signal: Int32) throws {
        guard signal == SIGWINCH else { return try connection.send(ControlRequest.signal(UInt8(signal)).wireBytes) }
        guard process.terminal, let size = TerminalMode.size(of: STDIN_FILENO) else { return }
        try connection.send(ControlRequest.resize(rows: size.rows, columns: size.columns).wireBytes)
    }
}

/// Bytes between a standard stream and a socket, each on a thread of its own: the streams are shared with other processes and must stay blocking.
enum StreamCopy {
    private static let chunk = 64 << 10

    /// The end of the source travels as the end of the socket's writing half.
    static func input(from source: Int32, to socket: Int32) {
        copy(from: source, to: socket)
        shutdown(socket, Int32(SHUT_WR))
    }

    /// Where the reader is gone, the guest's writer is to notice.
    static func output(from socket: Int32, to target: Int32) {
        copy(from: socket, to: target)
        shutdown(socket, Int32(SHUT_RD))
    }

    private static func copy(from source: Int32, to target: Int32) {
        // SAFETY: the buffer belongs to this thread for the whole loop; the kernel reads and writes inside it only.
        unsafe withUnsafeTemporaryAllocation(byteCount: chunk, alignment: 4096) { buffer in
            while let count = unsafe try? readSome(source, into: buffer), count > 0 {
                // Whoever reads is gone.
                guard (try? unsafe writeAll(target, UnsafeRawBufferPointer(rebasing: buffer[..<count]))) != nil else { return }
            }
        }
    }
}
