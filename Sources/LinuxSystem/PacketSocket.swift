// Packets between two processes, each perhaps with an open file (SOCK_SEQPACKET and SCM_RIGHTS, unix(7)).
import CLinux
import Glibc

/// A descriptor that several may hold; closed when the last one lets go.
public final class SharedDescriptor: Sendable {
    private let owned: OwnedDescriptor

    public init(_ owned: consuming OwnedDescriptor) { self.owned = owned }

    public var raw: Int32 { owned.raw }
}

/// A packet that has arrived.
public struct ReceivedPacket: Sendable {
    public let bytes: [UInt8]
    /// Nil also where this process may not have one more.
    public let file: SharedDescriptor?

    public init(bytes: [UInt8], file: SharedDescriptor?) {
        self.bytes = bytes
        self.file = file
    }
}

/// One end of a `packetSocketPair`.
public final class PacketSocket {
    private let descriptor: OwnedDescriptor
    /// What arrives, as long as it is.
    private var buffer: [UInt8]

    /// For an epoll.
    public var raw: Int32 { descriptor.raw }

    /// `limit`: of packets that arrive, in bytes.
    public init(owning descriptor: consuming OwnedDescriptor, limit: Int) {
        self.descriptor = descriptor
        buffer = [UInt8](repeating: 0, count: limit)
    }

    /// A packet of `bytes`, with a copy of `file` where there is one. Waits for room; throws EPIPE where the other end is closed.
    public func send(_ bytes: [UInt8], with file: Int32? = nil) throws(SystemError) {
        let raw = descriptor.raw
        try systemCall("sendmsg") {
            // SAFETY: the call reads as many bytes as the array has.
            unsafe bytes.withUnsafeBytes { unsafe clinux_send_packet(raw, $0.baseAddress, $0.count, file ?? -1) }
        }
    }

    /// Waits for a packet; nil where the other end is closed. Throws EMSGSIZE for one that is too long.
    public func receive() throws(SystemError) -> ReceivedPacket? {
        let raw = descriptor.raw
        var file: Int32 = -1
        let count = try systemCall("recvmsg") {
            // SAFETY: the call writes at most as many bytes as the buffer has, and one descriptor.
            unsafe buffer.withUnsafeMutableBytes { unsafe clinux_receive_packet(raw, $0.baseAddress, $0.count, &file) }
        }
        if count == 0 { return nil }
        return ReceivedPacket(bytes: Array(buffer[..<count]), file: file < 0 ? nil : SharedDescriptor(OwnedDescriptor(owning: file)))
    }
}
