// What the socket device counts.

public struct VsockMetrics: Equatable, Sendable {
    public init() {}

    /// Connections that came to be, from both sides.
    public internal(set) var opened: UInt64 = 0
    /// Requests refused: unknown port, no listener, or too many connections.
    public internal(set) var refused: UInt64 = 0
    /// Bytes of payload.
    public internal(set) var bytesFromGuest: UInt64 = 0
    public internal(set) var bytesToGuest: UInt64 = 0
    public internal(set) var packetsFromGuest: UInt64 = 0
    public internal(set) var packetsToGuest: UInt64 = 0
    /// Packets that made no sense, and connections that a broken rule ended.
    public internal(set) var badPackets: UInt64 = 0
    public internal(set) var violations: UInt64 = 0
}
