// A guest's socket driver that breaks the rules.
import AddressSpace
import DeviceTesting
import LinuxSystem
import Testing
import Virtio
import VirtioDevices
import VirtioTesting

/// A packet on or beside an established connection from 5000 to 1024, and what comes back.
struct BadPacket: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let packet: Packet
    var payload: [UInt8] = []
    var length: UInt32?
    let answer: [UInt16]

    init(
        _ name: String, _ operation: UInt16, host: UInt32 = 1024, guest: UInt32 = 5000, answer: [UInt16] = [Operation.reset],
        length: UInt32? = nil, change: (inout Packet) -> Void = { _ in }
    ) {
        testDescription = name
        var packet = Packet(operation, host: host, guest: guest)
        change(&packet)
        self.packet = packet
        self.length = length
        self.answer = answer
    }
}

private let badPackets: [BadPacket] = [
    BadPacket("a second request", Operation.request),
    BadPacket("a response to nothing", Operation.response),
    BadPacket("operation 0", 0),
    BadPacket("operation 8", 8),
    BadPacket("operation 65535", .max),
    BadPacket("a type other than stream", Operation.data) { $0.type = 2 },
    BadPacket("a payload that isn't there", Operation.data, length: 100),
    BadPacket("a payload of 4 GiB", Operation.data, length: .max),
    BadPacket("data for no connection", Operation.data, guest: 6000),
    BadPacket("credit for no connection", Operation.creditUpdate, guest: 6000),
    BadPacket("a shutdown of no connection", Operation.shutdown, guest: 6000),
    BadPacket("a reset of no connection", Operation.reset, guest: 6000, answer: []),
    BadPacket("a CID that isn't the guest's", Operation.data, answer: []) { $0.sourceCID = 4 },
    BadPacket("a CID that isn't the host's", Operation.request, answer: []) { $0.destinationCID = 3 },
    BadPacket("a CID of 64 bits", Operation.request, answer: []) { $0.destinationCID = 1 << 32 | 2 },
]

@Test(arguments: badPackets) func aBadPacketIsAnsweredByAResetOrNotAtAll(bad: BadPacket) throws {
    let guest = try VsockGuest()
    let socket = try guest.connect(host: 1024)
    _ = try guest.receive()
    try guest.send(bad.packet, length: bad.length)
    #expect(try guest.receive().operations == bad.answer)
    #expect(guest.driver.status == Status.live)
    let other = try guest.connect(host: 1025, guest: 7000)
    try guest.send(Packet(Operation.data, host: 1025, guest: 7000), [1])
    #expect(other.readNow() == [1])
    withExtendedLifetime(socket) {}
}

@Test func moreBytesThanCreditEndTheConnection() throws {
    let guest = try VsockGuest()
    let socket = try guest.connect(host: 1024)
    _ = try guest.receive()
    let chunk = [UInt8](repeating: 1, count: 65_000)
    var answers: [UInt16] = []
    for _ in 0..<20 where !answers.contains(Operation.reset) {
        try guest.send(Packet(Operation.data, host: 1024), chunk)
        answers += try guest.receive().operations
    }
    #expect(answers.last == Operation.reset)
    #expect(guest.metrics.violations == 1)
    while let more = socket.readNow(), !more.isEmpty {}
    #expect(socket.readNow() == nil)
}

@Test func dataAfterTheGuestsOwnEndBreaksTheRules() throws {
    let guest = try VsockGuest()
    let socket = try guest.connect(host: 1024)
    _ = try guest.receive()
    try guest.send(Packet(Operation.shutdown, host: 1024, flags: 2))
    try guest.send(Packet(Operation.data, host: 1024), [1])
    #expect(try guest.receive().operations == [Operation.reset])
    #expect(socket.readNow() == nil)
}

@Test(arguments: [0, 1, 0x7FFF_FFFF, .max] as [UInt32]) func creditThatMakesNoSenseSendsNothingTooMuch(forwarded: UInt32) throws {
    let guest = try VsockGuest()
    guest.bufferAllocation = 10
    guest.consumes = false
    let socket = try guest.connect(host: 1024)
    _ = try guest.receive()
    guest.forwarded[1024] = forwarded
    try guest.send(Packet(Operation.creditUpdate, host: 1024))
    socket.writeNow([UInt8](repeating: 7, count: 100))
    let received = try guest.receive().payload.count
    #expect(received <= 11)
    #expect(try guest.driver.settle(limit: 5))
}

@Test func connectionsAreLimited() throws {
    let guest = try VsockGuest()
    var sockets: [SocketEnd] = []
    for port in 0..<UInt32(Vsock.connectionLimit) {
        sockets.append(try guest.connect(host: 1024, guest: port))
        #expect(try guest.receive().operations == [Operation.response])
    }
    sockets.append(try guest.connect(host: 1024, guest: 9999))
    #expect(try guest.receive().operations == [Operation.reset])
    try guest.send(Packet(Operation.reset, host: 1024, guest: 0))
    #expect(sockets[0].readNow() == nil)
    guest.host.withdraw(port: 1024)
    sockets.append(try guest.connect(host: 1024, guest: 9999))
    #expect(try guest.receive().operations == [Operation.response])
}

@Test func answersWithoutReceiveBuffersMakeTheGuestWait() throws {
    let guest = try VsockGuest(buffers: 0)
    let area = guest.driver.allocate(64)
    var packets = 0
    var used = 0
    for _ in 0..<100 {
        while packets - used < 60 {
            try guest.offer(Packet(Operation.request, host: 9, guest: UInt32(packets)), at: area)
            packets += 1
            try guest.driver.settle()
            used += try guest.driver.queues[1].takeUsed().count
            if packets > 2000 { break }
        }
    }
    // Its packets stay in the ring, where they cost us nothing.
    #expect(packets - used == 60)
    #expect(used < 1000)
    try guest.post(64)
    var answers = 0
    while true {
        let received = try guest.receive()
        if received.isEmpty { break }
        answers += received.count
    }
    used += try guest.driver.queues[1].takeUsed().count
    #expect(used == packets)
    #expect(answers == packets)
}

@Test func connectionsOpenedAndResetWithoutReceiveBuffersMakeTheGuestWait() throws {
    let guest = try VsockGuest(buffers: 0)
    let (device, test) = try socketPair()
    let area = guest.driver.allocate(64)
    var taken = 0
    for round in 0..<2000 as Range<UInt32> {
        guest.host.expose(port: 5, socket: try device.descriptor.duplicate())
        do {
            try guest.offer(Packet(round % 2 == 0 ? Operation.request : Operation.reset, host: 5, guest: round / 2), at: area)
        } catch MockDriverError.noFreeDescriptor { break }
        try guest.driver.settle()
        taken += try guest.driver.queues[1].takeUsed().count
    }
    #expect(taken < 2 * (Vsock.connectionLimit + 64) + 2)
    withExtendedLifetime(test) {}
}

@Test(arguments: [0, 1, 43, 44]) func aReceiveBufferWithoutRoomStopsTheDevice(size: Int) throws {
    let guest = try VsockGuest(buffers: 0)
    let socket = try guest.connect(host: 1024)
    let buffer = guest.driver.allocate(64)
    for _ in 0..<3 { try guest.driver.queues[0].add(writable: [(buffer, size)]) }
    try guest.driver.queues[0].publish()
    socket.writeNow([1])
    try guest.driver.settle()
    #expect(guest.driver.status == Status.live | Status.needsReset)
    #expect(socket.readNow() == nil)
    try guest.start()
    let again = try guest.connect(host: 1024)
    #expect(try guest.receive().operations == [Operation.response])
    withExtendedLifetime(again) {}
}

@Test(arguments: [0, 10, 43]) func aPacketWithoutItsHeaderIsDropped(size: Int) throws {
    let guest = try VsockGuest()
    let area = guest.driver.allocate(64)
    try guest.driver.queues[1].add(readable: [(area, size)])
    try guest.driver.queues[1].publish()
    try guest.driver.settle()
    #expect(try guest.driver.queues[1].takeUsed().count == 1)
    #expect(guest.metrics.badPackets == 1)
    #expect(try guest.receive().isEmpty)
}

@Test func aDeviceWithoutADriverStaysAsleep() throws {
    let guest = try VsockGuest()
    let socket = try guest.connect(host: 1024)
    guest.driver.reset()
    try guest.driver.settle()
    socket.writeNow([1])
    guest.host.connect(port: 4, socket: try socket.descriptor.duplicate())
    #expect(try !guest.driver.runOnce())
}
