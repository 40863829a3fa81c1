// The socket device in ordinary use.
import AddressSpace
import DeviceTesting
import Glibc
import LinuxSystem
import Testing
import Virtio
import VirtioDevices
import VirtioTesting

private func pattern(_ count: Int, from start: Int = 0) -> [UInt8] {
    (start..<start + count).map { UInt8(truncatingIfNeeded: $0 &* 7 ^ ($0 >> 8) ^ ($0 >> 16)) }
}

// MARK: Opening

@Test func theConfigurationIsTheGuestsCID() throws {
    let guest = try VsockGuest()
    #expect(guest.driver.transport.read(offset: MMIO.configuration, size: 8) == 3)
}

@Test func anExposedPortTakesOneConnection() throws {
    let guest = try VsockGuest()
    let socket = try guest.connect(host: 1024)
    let answer = try #require(try guest.receive().first?.header)
    #expect(answer.operation == Operation.response)
    #expect((answer.sourceCID, answer.destinationCID) == (2, 3))
    #expect((answer.sourcePort, answer.destinationPort) == (1024, 5000))
    #expect(answer.bufferAllocation == 256 << 10)
    try guest.send(Packet(Operation.request, host: 1024, guest: 5001))
    #expect(try guest.receive().operations == [Operation.reset])
    #expect(socket.readNow() == [])
}

@Test func anUnknownPortIsRefused() throws {
    let guest = try VsockGuest()
    try guest.send(Packet(Operation.request, host: 99))
    let answer = try #require(try guest.receive().first?.header)
    #expect(answer.operation == Operation.reset)
    #expect((answer.sourcePort, answer.destinationPort) == (99, 5000))
    #expect(guest.metrics.refused == 1)
}

@Test func aWithdrawnPortIsRefused() throws {
    let guest = try VsockGuest()
    let (device, test) = try socketPair()
    guest.host.expose(port: 7, socket: try device.descriptor.duplicate())
    #expect(guest.host.withdraw(port: 7))
    #expect(!guest.host.withdraw(port: 7))
    try guest.send(Packet(Operation.request, host: 7))
    #expect(try guest.receive().operations == [Operation.reset])
    withExtendedLifetime(test) {}
}

@Test func theHostConnectsToAGuestsPort() throws {
    let guest = try VsockGuest()
    let (device, test) = try socketPair()
    guest.host.connect(port: 80, socket: try device.descriptor.duplicate())
    let request = try #require(try guest.receive().first?.header)
    #expect(request.operation == Operation.request)
    #expect(request.destinationPort == 80)
    try guest.send(Packet(Operation.response, host: request.sourcePort, guest: 80))
    test.writeNow([1, 2, 3])
    #expect(try guest.receive().payload == [1, 2, 3])
    try guest.send(Packet(Operation.data, host: request.sourcePort, guest: 80), [4, 5])
    #expect(test.readNow() == [4, 5])
}

@Test func aConnectionFromTheHostWaitsForTheDriver() throws {
    let guest = try VsockGuest()
    guest.driver.reset()
    try guest.driver.settle()
    let (device, test) = try socketPair()
    guest.host.connect(port: 80, socket: try device.descriptor.duplicate())
    #expect(try !guest.driver.runOnce())
    try guest.start()
    #expect(try guest.receive().operations == [Operation.request])
    withExtendedLifetime(test) {}
}

// MARK: Data

@Test func bytesFlowBothWays() throws {
    let guest = try VsockGuest()
    let socket = try guest.connect(host: 1024)
    _ = try guest.receive()
    try guest.send(Packet(Operation.data, host: 1024), pattern(5000))
    #expect(same(socket.readNow() ?? [], pattern(5000)))
    socket.writeNow(pattern(10_000))
    let packets = try guest.receive()
    #expect(packets.operations == [Operation.data, Operation.data, Operation.data])
    #expect(same(packets.payload, pattern(10_000)))
    #expect(guest.metrics.bytesFromGuest == 5000)
    #expect(guest.metrics.bytesToGuest == 10_000)
}

@Test func aSocketThatIsFullKeepsTheGuestsBytes() throws {
    let guest = try VsockGuest()
    let socket = try guest.connect(host: 1024)
    _ = try guest.receive()
    // As much as the guest has credit for, again and again, until neither the socket nor the device takes more.
    var sent = 0
    var credit = 256 << 10
    while credit > 0 {
        let count = min(credit, 60_000)
        try guest.send(Packet(Operation.data, host: 1024), pattern(count, from: sent))
        sent += count
        credit -= count
        if let last = try guest.receive().last { credit = (256 << 10) - (sent - Int(last.header.forwardedCount)) }
    }
    #expect(sent > 256 << 10)
    var read: [UInt8] = []
    while read.count < sent, let more = socket.readNow(), !more.isEmpty {
        read += more
        try guest.driver.settle()
    }
    #expect(same(read, pattern(sent)))
    let last = try #require(try guest.receive().last)
    #expect(last.header.operation == Operation.creditUpdate)
    #expect(sent - Int(last.header.forwardedCount) < 64 << 10)
}

@Test func theHostSendsNoMoreThanTheGuestTakes() throws {
    let guest = try VsockGuest()
    guest.bufferAllocation = 100
    guest.consumes = false
    let socket = try guest.connect(host: 1024)
    _ = try guest.receive()
    socket.writeNow(pattern(250))
    let packets = try guest.receive()
    #expect(packets.operations == [Operation.data, Operation.creditRequest])
    #expect(same(packets.payload, pattern(100)))
    // Neither a busy loop nor another request while there is no credit.
    #expect(try guest.driver.settle(limit: 3))
    guest.forwarded[1024] = 100
    try guest.send(Packet(Operation.creditUpdate, host: 1024))
    #expect(try same(guest.receive().payload, pattern(100, from: 100)))
    guest.forwarded[1024] = 200
    try guest.send(Packet(Operation.creditUpdate, host: 1024))
    #expect(try same(guest.receive().payload, pattern(50, from: 200)))
}

@Test func aRequestForCreditIsAnswered() throws {
    let guest = try VsockGuest()
    let socket = try guest.connect(host: 1024)
    _ = try guest.receive()
    try guest.send(Packet(Operation.data, host: 1024), [1, 2, 3])
    try guest.send(Packet(Operation.creditRequest, host: 1024))
    let answer = try #require(try guest.receive().first?.header)
    #expect(answer.operation == Operation.creditUpdate)
    #expect(answer.forwardedCount == 3)
    withExtendedLifetime(socket) {}
}

@Test func bytesWaitForReceiveBuffers() throws {
    let guest = try VsockGuest(buffers: 2)
    let socket = try guest.connect(host: 1024)
    _ = try guest.receive(keep: true)
    socket.writeNow(pattern(20_000))
    #expect(try same(guest.receive(keep: true).payload, pattern(4052)))
    #expect(try guest.driver.settle(limit: 3))
    try guest.post(5)
    #expect(try same(guest.receive(keep: true).payload, pattern(15_948, from: 4052)))
}

@Test func connectionsTakeTurns() throws {
    let guest = try VsockGuest(buffers: 1)
    let sockets = try (1...3).map { try guest.connect(host: UInt32($0), guest: UInt32($0)) }
    for _ in 0..<3 { _ = try guest.receive() }
    for socket in sockets { socket.writeNow(pattern(30_000)) }
    var order: [UInt32] = []
    for _ in 0..<9 { order += try guest.receive().map(\.header.sourcePort) }
    // The first round is as long as it takes until all three are known to have bytes.
    #expect(Set(order[3..<6]) == [1, 2, 3])
    #expect(Array(order[6..<9]) == Array(order[3..<6]))
}

@Test(arguments: [32 << 20]) func bulkDataFlowsBothWaysAtOnce(total: Int) throws {
    let guest = try VsockGuest()
    let socket = try guest.connect(host: 1024)
    _ = try guest.receive()
    let chunk = pattern(61_440)
    let endless = chunk + chunk
    var toHost = (sent: 0, received: 0, forwarded: 0)
    var toGuest = (sent: 0, received: 0)
    while toHost.received < total || toGuest.received < total {
        let start = toGuest.sent % chunk.count
        if toGuest.sent < total { toGuest.sent += max(0, socket.writeNow(Array(endless[start..<start + min(61_440, total - toGuest.sent)]))) }
        let credit = (256 << 10) - (toHost.sent - toHost.forwarded)
        let count = min(credit, total - toHost.sent, chunk.count - toHost.sent % chunk.count)
        if count > 0 {
            let offset = toHost.sent % chunk.count
            try guest.send(Packet(Operation.data, host: 1024), Array(chunk[offset..<offset + count]))
            toHost.sent += count
        } else {
            try guest.send(Packet(Operation.creditUpdate, host: 1024))
        }
        for packet in try guest.receive() {
            let offset = toGuest.received % chunk.count
            guard same(packet.payload, endless[offset..<offset + packet.payload.count]) else {
                Issue.record("wrong bytes at \(toGuest.received)")
                return
            }
            toGuest.received += packet.payload.count
            toHost.forwarded = Int(packet.header.forwardedCount)
        }
        let read = socket.readNow(limit: chunk.count) ?? []
        let offset = toHost.received % chunk.count
        guard same(read, endless[offset..<offset + read.count]) else {
            Issue.record("wrong bytes at \(toHost.received)")
            return
        }
        toHost.received += read.count
    }
    #expect(toHost.received == total)
    #expect(toGuest.received == total)
}

// MARK: Closing

@Test func theGuestsHalfCloseIsEndOfFileAndTheOtherHalfGoesOn() throws {
    let guest = try VsockGuest()
    let socket = try guest.connect(host: 1024)
    _ = try guest.receive()
    try guest.send(Packet(Operation.data, host: 1024), [1])
    try guest.send(Packet(Operation.shutdown, host: 1024, flags: 2))
    #expect(socket.readNow() == [1])
    #expect(socket.readNow() == nil)
    socket.writeNow([2, 3])
    #expect(try guest.receive().payload == [2, 3])
}

@Test func theHostsHalfCloseIsAShutdownAndTheOtherHalfGoesOn() throws {
    let guest = try VsockGuest()
    let socket = try guest.connect(host: 1024)
    _ = try guest.receive()
    socket.writeNow([7])
    shutdown(socket.raw, Int32(SHUT_WR))
    let packets = try guest.receive()
    #expect(packets.operations == [Operation.data, Operation.shutdown])
    #expect(packets.last?.header.flags == 2)
    try guest.send(Packet(Operation.data, host: 1024), [8])
    #expect(socket.readNow() == [8])
}

@Test func aGuestThatClosesGetsItsResetWhenAllBytesAreDelivered() throws {
    let guest = try VsockGuest()
    let socket = try guest.connect(host: 1024)
    _ = try guest.receive()
    try guest.send(Packet(Operation.data, host: 1024), pattern(1000))
    try guest.send(Packet(Operation.shutdown, host: 1024, flags: 3))
    #expect(try guest.receive().operations == [Operation.reset])
    #expect(same(socket.readNow() ?? [], pattern(1000)))
    #expect(socket.readNow() == nil)
    #expect(socket.writeNow([1]) == -Int(EPIPE))
}

@Test func bytesThatWaitAreDeliveredBeforeTheEnd() throws {
    let guest = try VsockGuest()
    let socket = try guest.connect(host: 1024)
    _ = try guest.receive()
    var sent = 0
    // The socket is full well before the credit is.
    for _ in 0..<7 {
        try guest.send(Packet(Operation.data, host: 1024), pattern(60_000, from: sent))
        sent += 60_000
    }
    try guest.send(Packet(Operation.shutdown, host: 1024, flags: 3))
    #expect(try !guest.receive().operations.contains(Operation.reset))
    var read: [UInt8] = []
    while let more = socket.readNow() {
        read += more
        try guest.driver.settle()
    }
    #expect(same(read, pattern(sent)))
    #expect(try guest.receive().operations.last == Operation.reset)
}

@Test func aHostThatClosesEndsBothDirections() throws {
    let guest = try VsockGuest()
    var socket: SocketEnd? = try guest.connect(host: 1024)
    _ = try guest.receive()
    socket?.writeNow([5])
    socket = nil
    let packets = try guest.receive()
    #expect(packets.payload == [5])
    #expect(packets.last?.header.operation == Operation.shutdown)
    #expect(packets.last?.header.flags == 3)
    try guest.send(Packet(Operation.data, host: 1024), pattern(60_000))
    try guest.send(Packet(Operation.reset, host: 1024))
    #expect(try guest.driver.settle())
    #expect(try !guest.receive().operations.contains(Operation.reset))
}

@Test func aHostThatReadsNoMoreEndsOneDirection() throws {
    let guest = try VsockGuest()
    let socket = try guest.connect(host: 1024)
    _ = try guest.receive()
    shutdown(socket.raw, Int32(SHUT_RD))
    try guest.send(Packet(Operation.data, host: 1024), pattern(1000))
    let packets = try guest.receive()
    #expect(packets.operations == [Operation.shutdown])
    #expect(packets.last?.header.flags == 1)
    socket.writeNow([9])
    #expect(try guest.receive().payload == [9])
}

@Test func resetClosesEveryConnectionAndKeepsWhatIsExposed() throws {
    let guest = try VsockGuest()
    let socket = try guest.connect(host: 1024)
    let (device, test) = try socketPair()
    guest.host.expose(port: 1025, socket: try device.descriptor.duplicate())
    guest.driver.reset()
    #expect(socket.readNow() == nil)
    try guest.start()
    try guest.send(Packet(Operation.request, host: 1025))
    #expect(try guest.receive().operations == [Operation.response])
    try guest.send(Packet(Operation.data, host: 1025), [1])
    #expect(test.readNow() == [1])
}

@Test func whatTheGuestSentLastIsServedWithoutItsNotification() throws {
    let guest = try VsockGuest()
    let socket = try guest.connect(host: 1024)
    try guest.offer(Packet(Operation.data, host: 1024), [1, 2, 3])
    guest.driver.transport.serveAll()
    guest.driver.transport.reset()
    #expect(socket.readNow() == [1, 2, 3])
    #expect(socket.readNow() == nil)
}

@Test func resetDeliversWhatTheSocketStillTakes() throws {
    let guest = try VsockGuest()
    let socket = try guest.connect(host: 1024)
    _ = try guest.receive()
    for start in 0..<7 { try guest.send(Packet(Operation.data, host: 1024), pattern(60_000, from: 60_000 * start)) }
    let waiting = guest.driver.transport.withDevice { ($0 as? Vsock)?.waitingBytes ?? 0 }
    #expect(waiting > 0)
    let first = try #require(socket.readNow())
    #expect(first.count == 420_000 - waiting)
    guest.driver.transport.reset()
    let second = try #require(socket.readNow())
    #expect(same(first + second, pattern(first.count + second.count)))
    #expect(!second.isEmpty)
    #expect(socket.readNow() == nil)
}
