// The file server, as the VMM's file systems see it: a socket (docs/adr/0016).
import FUSE
import Glibc
import LaunchConfiguration
import LinuxSystem
import VirtioDevices

final class FileServerClient: NameService {
    private let socket: PacketSocket
    /// Answers that come before the next one that somebody waits for.
    private var unread = 0

    init(_ socket: consuming OwnedDescriptor) { self.socket = PacketSocket(owning: socket, limit: Request.lengthLimit) }

    func ask(_ request: [UInt8]) throws(SystemError) -> ReceivedPacket {
        try tell(request)
        while unread > 0 {
            _ = try receive()
            unread -= 1
        }
        return try receive()
    }

    private func receive() throws(SystemError) -> ReceivedPacket {
        let answer = try naming { () throws(SystemError) in try socket.receive() }
        guard let answer else { throw SystemError(call: "recvmsg", subject: Self.name, errno: ECONNRESET) }
        return answer
    }

    func leave(_ request: [UInt8]) throws(SystemError) {
        try tell(request)
        unread += 1
    }

    func tell(_ request: [UInt8]) throws(SystemError) { try naming { () throws(SystemError) in try socket.send(request) } }

    /// No question: it has no answer, and may come between those of the files' thread.
    func reportOutOfMemory() throws(SystemError) { try tell(FileServerNotice.outOfMemory) }

    private static let name = "from or to the file server"

    private func naming<Result>(_ body: () throws(SystemError) -> Result) throws(SystemError) -> Result {
        do throws(SystemError) { return try body() } catch { throw SystemError(call: error.call, subject: Self.name, errno: error.errno) }
    }
}
