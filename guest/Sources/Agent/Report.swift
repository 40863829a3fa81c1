// What a child tells the agent before it executes the container's program, in packets: a tag and a payload. The end of the socket means success.
// One that was told to wait says that it is ready, and is answered by the same tag.
internal import AgentProtocol
internal import GuestSystem
internal import Unpacker

enum ReportTag {
    /// A failure's kind, one byte, and its sentence.
    static let failure: UInt8 = 1
    /// The terminal's master comes along.
    static let terminal: UInt8 = 2
    static let ready: UInt8 = 3
}

enum Report {
    static let lengthLimit = 4096

    static func send(_ failure: Failure, on socket: Int32) {
        try? InputOutput.send(socket, [ReportTag.failure, failure.kind.rawValue] + failure.text.bytes.prefix(lengthLimit - 2))
    }

    static func failure(_ packet: [UInt8]) -> (kind: FailureKind, text: [UInt8])? {
        guard packet.count >= 2, packet[0] == ReportTag.failure, let kind = FailureKind(rawValue: packet[1]) else { return nil }
        return (kind, Array(packet[2...]))
    }
}
