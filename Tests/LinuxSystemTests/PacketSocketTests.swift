// Packets between processes, with files.
import CLinux
import Glibc
import LinuxSystem
import Testing

@Test func packetsKeepTheirBoundsAndTheirFiles() throws {
    let pair = try OwnedDescriptor.packetSocketPair()
    let (one, other) = (PacketSocket(owning: pair.first, limit: 10), PacketSocket(owning: pair.second, limit: 10))
    let file = try OwnedDescriptor.memory(named: "sent")
    try writeAll(file.raw, Array("hello".utf8))
    try one.send([1, 2, 3], with: file.raw)
    try one.send([4])
    let first = try #require(try other.receive())
    #expect(first.bytes == [1, 2, 3])
    let received = try #require(first.file)
    #expect(try FileStatus(of: received.raw).inode == FileStatus(of: file.raw).inode)
    #expect(fcntl(received.raw, F_GETFD) == FD_CLOEXEC)
    let second = try #require(try other.receive())
    #expect(second.bytes == [4] && second.file == nil)
}

@Test func aPacketThatIsTooLongIsRefusedWithItsFile() throws {
    let pair = try OwnedDescriptor.packetSocketPair()
    let (one, other) = (PacketSocket(owning: pair.first, limit: 10), PacketSocket(owning: pair.second, limit: 10))
    let before = (0..<Int32(256)).filter { fcntl($0, F_GETFD) >= 0 }.count
    try one.send([UInt8](repeating: 1, count: 11), with: 0)
    #expect(throws: SystemError(call: "recvmsg", errno: EMSGSIZE)) { try other.receive() }
    #expect((0..<Int32(256)).filter { fcntl($0, F_GETFD) >= 0 }.count <= before)
}

@Test func theOtherEndsEndIsSeen() throws {
    let pair = try OwnedDescriptor.packetSocketPair()
    let one = PacketSocket(owning: pair.first, limit: 10)
    do { _ = PacketSocket(owning: pair.second, limit: 10) }
    #expect(try one.receive() == nil)
    #expect(throws: SystemError(call: "sendmsg", errno: EPIPE)) { try one.send([1]) }
}
