// What a child tells PID 1 before it executes the container's program, in packets: a tag and a payload. The end of the socket means success.
// One that was told to wait says that it is ready, and is answered by the same tag; so is one that has made a user namespace, when this knows its users, or by a failure.
internal import AgentProtocol
internal import GuestSystem

public enum ReportTag {
    /// A failure's kind, one byte, and its sentence.
    public static let failure: UInt8 = 1
    /// The terminal's master comes along.
    public static let terminal: UInt8 = 2
    public static let ready: UInt8 = 3
    public static let userNamespace: UInt8 = 4
}

public enum Report {
    public static let lengthLimit = 4096

    public static func send(_ failure: Failure, on socket: Int32) {
        try? InputOutput.send(socket, [ReportTag.failure, failure.kind.rawValue] + failure.text.bytes.prefix(lengthLimit - 2))
    }

    public static func failure(_ packet: [UInt8]) -> Failure? {
        guard packet.count >= 2, packet[0] == ReportTag.failure, let kind = FailureKind(rawValue: packet[1]) else { return nil }
        return Failure(kind, Sentence(bytes: Array(packet[2...])))
    }
}
