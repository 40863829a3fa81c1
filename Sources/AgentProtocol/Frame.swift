// How messages travel between the host and the guest's agent: frames on one vsock stream.
//
//   offset 0  u32  payload length in bytes, at most Frame.payloadLimit
//   offset 4  u16  message kind (HostMessage.Kind or AgentMessage.Kind)
//   offset 6  u16  zero
//   offset 8  payload in Wire form
//
// The agent speaks first: `hello` with the protocol's version. The host refuses another version. Builds as Embedded Swift too.
public import Wire

/// Constants of both ends.
public enum AgentProtocol {
    /// Changes with every incompatible change of a message.
    public static let version: UInt32 = 6
    /// The vsock port on which the host (CID 2) listens for the agent.
    public static let controlPort: UInt32 = 1024
    /// The I/O port to which the guest writes a `TimelineMark`.
    public static let timelinePort: UInt16 = 0x510
}

/// Points of the boot that the guest marks, one byte written to `AgentProtocol.timelinePort` each.
public enum TimelineMark: UInt8, CaseIterable, Sendable {
    /// The agent's first instruction as PID 1.
    case initStarted = 1
    /// The control connection is up.
    case connected = 2
    /// The root file system is unpacked and mounted.
    case rootReady = 3
    /// The container's process is about to be executed.
    case processExecuted = 4
    /// The container's process has ended.
    case processExited = 5
}

/// One message's bytes.
public struct Frame: Equatable, Sendable {
    public static let headerLength = 8
    /// Arguments and environment of the largest process that Linux runs (ARG_MAX, 2 MiB) and room for the rest.
    public static let payloadLimit = 4 << 20

    public let kind: UInt16
    public let payload: [UInt8]

    public init(kind: UInt16, payload: [UInt8]) {
        self.kind = kind
        self.payload = payload
    }

    public var bytes: [UInt8] {
        var encoder = WireEncoder()
        encoder.integer(UInt32(payload.count))
        encoder.integer(kind)
        encoder.integer(UInt16(0))
        encoder.raw(payload)
        return encoder.bytes
    }
}

/// Puts frames together from the pieces in which a stream delivers them.
public struct FrameReader {
    private var pending: [UInt8] = []

    public init() {}

    public mutating func append(_ bytes: some Sequence<UInt8>) { pending.append(contentsOf: bytes) }

    /// The next whole frame, or nil when more bytes are needed.
    public mutating func next() throws(WireError) -> Frame? {
        guard pending.count >= Frame.headerLength else { return nil }
        var header = WireDecoder(Array(pending[..<Frame.headerLength]))
        let length = Int(try header.integer(UInt32.self))
        let kind = try header.integer(UInt16.self)
        guard try header.integer(UInt16.self) == 0 else { throw .unknownValue }
        guard length <= Frame.payloadLimit else { throw .tooLong }
        guard pending.count >= Frame.headerLength + length else { return nil }
        let payload = Array(pending[Frame.headerLength..<Frame.headerLength + length])
        pending.removeFirst(Frame.headerLength + length)
        return Frame(kind: kind, payload: payload)
    }
}
