// Open files on their way to another process; here it is the same one.
import Glibc
import LinuxSystem
import Testing

/// What a descriptor has open.
private func identity(of descriptor: Int32) throws -> [UInt64] {
    var status = stat()
    // SAFETY: fstat writes one structure.
    try systemCall("fstat") { unsafe fstat(descriptor, &status) }
    return [UInt64(status.st_dev), UInt64(status.st_ino)]
}

@Suite struct DescriptorTransferTests {
    /// One message takes 253.
    @Test(arguments: [1, 2, 253, 254, 600]) func arriveInTheirOrder(count: Int) throws {
        let sockets = try OwnedDescriptor.socketPair(nonBlocking: false)
        let (first, second) = (try OwnedDescriptor.memory(named: "first").release(), try OwnedDescriptor.memory(named: "second").release())
        let sent = (0..<count).map { $0.isMultiple(of: 2) ? first : second }
        try DescriptorTransfer.send(sent, over: sockets.first.raw)
        let received = try DescriptorTransfer.receive(over: sockets.second.raw, atMost: count)
        defer { for descriptor in received + [first, second] { close(descriptor) } }
        #expect(Set(received).count == count && Set(received).isDisjoint(with: sent))
        #expect(try received.map(identity) == sent.map(identity))
        for descriptor in received { #expect(fcntl(descriptor, F_GETFD) == FD_CLOEXEC) }
    }

    @Test func moreThanWereExpectedAreRefused() throws {
        let sockets = try OwnedDescriptor.socketPair(nonBlocking: false)
        try DescriptorTransfer.send([0, 1, 2], over: sockets.first.raw)
        let raw = sockets.second.raw
        let error = #expect(throws: SystemError.self) { try DescriptorTransfer.receive(over: raw, atMost: 2) }
        #expect(error?.errno == EMSGSIZE)
    }

    @Test func theEndOfTheSenderIsTold() throws {
        let sockets = try OwnedDescriptor.socketPair(nonBlocking: false)
        #expect(shutdown(sockets.first.raw, Int32(SHUT_WR)) == 0)
        let raw = sockets.second.raw
        let error = #expect(throws: SystemError.self) { try DescriptorTransfer.receive(over: raw, atMost: 1) }
        #expect(error?.errno == ECONNRESET)
    }

    @Test func whatIsNotOpenIsNotSent() throws {
        let sockets = try OwnedDescriptor.socketPair(nonBlocking: false)
        let raw = sockets.first.raw
        let error = #expect(throws: SystemError.self) { try DescriptorTransfer.send([-1], over: raw) }
        #expect(error?.errno == EBADF)
    }
}
