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
    /// Send the container's process a signal, whatever it means to the VMM itself.
    case signal(UInt8)

    /// Of an encoded request, in bytes.
    public static let sizeLimit = 16

    public func encode(into encoder: inout WireEncoder) {
        switch self {
        case .start: encoder.integer(UInt8(1))
        case .signal(let number):
            encoder.integer(UInt8(2))
            encoder.integer(number)
        }
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        switch try decoder.integer(UInt8.self) {
        case 1: self = .start
        case 2:
            let number: UInt8 = try decoder.integer()
            guard (1...64).contains(number) else { throw .unknownValue }
            self = .signal(number)
        default: throw .unknownValue
        }
    }
}

/// The answer to a request; and what the command that creates a container is told when it is there.
public enum ControlReply: WireCodable, Equatable, Sendable {
    case done
    /// One sentence for the user.
    case failed(Text)

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
        }
    }

    public init(from decoder: inout WireDecoder) throws(WireError) {
        switch try decoder.integer(UInt8.self) {
        case 0: self = .done
        case 1: self = .failed(try Text(from: &decoder))
        default: throw .unknownValue
        }
    }
}
