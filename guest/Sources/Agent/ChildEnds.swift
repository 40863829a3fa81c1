// A process's pipes and their connections to the host, made before the process.
internal import AgentProtocol
internal import GuestSystem

/// The child's ends are closed by `closeTheirs` once it has them.
struct ChildEnds {
    private(set) var input: Int32 = -1
    private(set) var output: Int32 = -1
    private(set) var error: Int32 = -1
    private(set) var ours = StreamEnds()

    init(_ streams: ProcessStreams) throws(SystemError) {
        switch streams {
        case .terminal(let port, _):
            // The relays follow when the child has opened the terminal.
            ours.endpoints.append(try ChildEnds.connect(port))
        case .pipes(let input, let output, let error):
            if input != 0 {
                let host = try ChildEnds.connect(input)
                try OwnedDescriptor.pipe().use { (reader, writer) in
                    self.input = reader.release()
                    let pipe = Endpoint(writer, isSocket: false)
                    ours.input = Relay(from: host, to: pipe)
                    ours.endpoints += [host, pipe]
                }
            }
            self.output = try outputPipe(to: output)
            self.error = try outputPipe(to: error)
        }
    }

    private mutating func outputPipe(to port: UInt32) throws(SystemError) -> Int32 {
        if port == 0 { return -1 }
        let host = try ChildEnds.connect(port)
        return try OwnedDescriptor.pipe().use { (reader, writer) in
            let pipe = Endpoint(reader, isSocket: false)
            ours.outputs.append(Relay(from: pipe, to: host))
            ours.endpoints += [host, pipe]
            return writer.release()
        }
    }

    /// Without waiting: what is to be written waits in the relay until the host has answered.
    private static func connect(_ port: UInt32) throws(SystemError) -> Endpoint {
        let connection = try Machine.connect(toHostPort: port, blocking: false)
        let isConnecting = connection.isConnecting
        return Endpoint(connection.take(), isSocket: true, isConnecting: isConnecting)
    }

    func closeTheirs() {
        for descriptor in [input, output, error] where descriptor >= 0 { _ = OwnedDescriptor(owning: descriptor) }
    }
}
