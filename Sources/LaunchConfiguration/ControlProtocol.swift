// What the OCI commands and a container's VMM tell each other (docs/adr/0017), a packet each.
public import Wire

/// How far a container has come: what `swiftlet state` tells while its VMM lives.
public enum LifecycleStatus: UInt8, Sendable, CaseIterable {
    case creating = 0
    case created = 1
    case running = 2
}

/// What a command asks of the VMM, on a connection of its own.
public enum ControlRequest: WireCodable, Equatable, Sendable {
    /// Execute the process that waits. Answered when it has been executed, or can't be.
    case start
    /// Send the process a signal, whatever it means to the VMM itself: the container's, or the one that was executed by this connection.
    case signal(UInt8)
    /// With it comes a connected, non-blocking stream socket: the next of the streams of a process to execute.
    case stream
    /// Execute one more process. With it comes a file with the process (AgentProtocol's ProcessSpec), in which the ports of the streams are counted from 1, as they were sent.
    /// Answered by `done` when it runs, and by `exited` in the end. It lives no longer than the connection.
    case execute
    /// The terminal of the process that was executed has another size, in characters.
    case resize(rows: UInt16, columns: UInt16)

    /// The container may have as much from now on: bytes of memory, processes and threads; 0: as much as there is.
    case limit(memory: UInt64, processes: UInt32)
    /// Answered by `statistics`.
    case examine

    /// Of an encoded request, in bytes.
    public static let sizeLimit = 16

    public func encode(into encoder: inout WireEncoder) {
        switch self {
        case .start: encoder.integer(UInt8(1))
        case .signal(let number):
            encoder.integer(UInt8(2))
            encoder.integer(number)
        case .stream: encoder.integer(UInt8(3))
        case .execute: encoder.integer(UInt8(4))
        case .resize(let rows, let columns):
            encoder.integer(UInt8(5))
            encoder.integer(rows)
            encoder.integer(columns)
        case .limit(let memory, let processes):
            encoder.integer(UInt8(6))
            encoder.integer(memory)
            encoder.integer(processes)
        case .examine: encoder.integer(UInt8(7))
        }
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        switch try decoder.integer(UInt8.self) {
        case 1: self = .start
        case 2:
            let number: UInt8 = try decoder.integer()
            guard (1...64).contains(number) else { throw .unknownValue }
            self = .signal(number)
        case 3: self = .stream
        case 4: self = .execute
        case 5: self = .resize(rows: try decoder.integer(), columns: try decoder.integer())
        case 6: self = .limit(memory: try decoder.integer(), processes: try decoder.integer())
        case 7: self = .examine
        default: throw .unknownValue
        }
    }
}

/// The answer to a request; and what the command that creates a container is told when it is there.
public enum ControlReply: WireCodable, Equatable, Sendable {
    case done
    /// One sentence for the user.
    case failed(Text)
    /// The process that was executed has ended, with this exit code, or 128 + n after signal n.
    case exited(UInt8)
    /// An encoded `ContainerStatistics` of AgentProtocol.
    case statistics([UInt8])

    /// Of an encoded reply, in bytes.
    public static let sizeLimit = 16384

    /// With as much of the sentence as fits.
    public init(failure sentence: String) {
        self = .failed(Text(bytes: Array(sentence.utf8.prefix(ControlReply.sizeLimit / 2)).filter { $0 != 0 }) ?? "")
    }

    public func encode(into encoder: inout WireEncoder) {
        switch self {
        case .done: encoder.integer(UInt8(0))
        case .failed(let text):
            encoder.integer(UInt8(1))
            text.encode(into: &encoder)
        case .exited(let code):
            encoder.integer(UInt8(2))
            encoder.integer(code)
        case .statistics(let bytes):
            encoder.integer(UInt8(3))
            encoder.byteString(bytes)
        }
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        switch try decoder.integer(UInt8.self) {
        case 0: self = .done
        case 1: self = .failed(try Text(from: &decoder))
        case 2: self = .exited(try decoder.integer())
        case 3: self = .statistics(try decoder.byteString(atMost: ControlReply.sizeLimit))
        default: throw .unknownValue
        }
    }
}
