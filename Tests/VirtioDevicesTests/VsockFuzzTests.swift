// Packets, credit, buffers and host sockets in any order, from a seed: the device comes to rest every time, keeps its limits, and works after a reset.
import AddressSpace
import DeviceTesting
import Glibc
import LinuxSystem
import Testing
import Virtio
import VirtioDevices
import VirtioTesting

private struct VsockAttacker {
    var random: SeededRandom
    let guest: VsockGuest
    var sockets: [SocketEnd] = []
    let bytes = [UInt8](repeating: 0x55, count: 60_000)

    mutating func pick(_ limit: Int) -> Int { Int.random(in: 0..<limit, using: &random) }

    mutating func guestPacket() throws {
        var packet = Packet(
            UInt16(pick(100) == 0 ? pick(65536) : pick(8)), host: UInt32(pick(4)), guest: UInt32(pick(4)), flags: UInt32(pick(5)))
        if pick(30) == 0 { packet.type = 2 }
        // Hosts' own connections have upper ports.
        if pick(3) == 0 { packet.destinationPort = (1 << 30) + UInt32(pick(50)) }
        guest.bufferAllocation = pick(4) == 0 ? UInt32(pick(1000)) : 256 << 10
        guest.forwarded[packet.destinationPort] = pick(10) == 0 ? UInt32.random(in: .min ... .max, using: &random) : UInt32(pick(100_000))
        let count = packet.operation == Operation.data ? [0, 1, 5000, 60_000][pick(4)] : 0
        try guest.send(packet, Array(bytes[..<count]), length: pick(50) == 0 ? UInt32(pick(100_000)) : nil)
    }

    mutating func hostAction() throws {
        switch pick(8) {
        case 0, 1:
            let (device, test) = try socketPair()
            guest.host.expose(port: UInt32(pick(4)), socket: try device.descriptor.duplicate())
            sockets.append(test)
        case 2:
            let (device, test) = try socketPair()
            guest.host.connect(port: UInt32(pick(4)), socket: try device.descriptor.duplicate())
            sockets.append(test)
        case 3: if !sockets.isEmpty { sockets.remove(at: pick(sockets.count)) }
        case 4: if let socket = sockets.randomElement(using: &random) { shutdown(socket.raw, Int32(pick(3))) }
        case 5: if let socket = sockets.randomElement(using: &random) { _ = socket.readNow(limit: pick(200_000)) }
        default: if let socket = sockets.randomElement(using: &random) { socket.writeNow(Array(bytes[..<pick(60_000)])) }
        }
        if sockets.count > 40 { sockets.removeFirst(20) }
    }

    mutating func step() throws {
        switch pick(10) {
        case 0...4: try guestPacket()
        case 5...7: try hostAction()
        case 8: _ = try guest.receive(keep: false)
        default:
            if pick(40) == 0 {
                guest.driver.reset()
                try guest.start(buffers: pick(64))
            }
        }
        // Coming to rest is the property: nothing that waits for the guest or for a socket may keep the event loop awake.
        #expect(try guest.driver.settle(limit: 2000))
        _ = try guest.driver.queues[1].takeUsed()
    }
}

@Test(arguments: FuzzBudget.seeds) func anyConversationComesToRest(seed: UInt64) throws {
    var attacker = VsockAttacker(random: SeededRandom(seed: seed), guest: try VsockGuest())
    let clock = ContinuousClock()
    let end = clock.now + FuzzBudget.duration
    while clock.now < end {
        do {
            try attacker.step()
        } catch MockDriverError.noFreeDescriptor {
            // The device makes a guest wait that takes no answers.
            _ = try attacker.guest.receive()
        }
    }
    let guest = attacker.guest
    #expect(guest.driver.status == Status.live, "\(String(describing: guest.driver.transport.failure))")
    #expect(guest.metrics.opened > 0)
    try guest.start()
    let socket = try guest.connect(host: 1024)
    #expect(try guest.receive().operations.contains(Operation.response))
    try guest.send(Packet(Operation.data, host: 1024), [1, 2, 3])
    #expect(socket.readNow() == [1, 2, 3])
}
