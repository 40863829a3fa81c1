// A driver that does anything in any order: registers, rings, RAM and host sockets at random, from a seed. The property: nothing crashes or hangs, what a
// device does stays in the guest's RAM, and after a reset the device works.
import AddressSpace
import LinuxSystem
import Testing
import Virtio
import VirtioDevices
import VirtioTesting

/// A device to be attacked, and the proof that it still works afterwards.
private struct Victim {
    let driver: MockDriver
    let works: (MockDriver) throws -> Bool
}

private enum Kind: String, CaseIterable, Sendable {
    case block, readOnlyBlock, entropy, console, vsock
}

private func victim(_ kind: Kind) throws -> Victim {
    switch kind {
    case .block, .readOnlyBlock:
        let file = try ScratchFile(size: 1 << 20)
        let backend = try BlockBackend.concatenation(of: [(file.raw, 0, 1 << 20)], name: "victim", access: kind == .block ? .inPlace : .readOnly)
        return Victim(driver: try MockDriver(try Block(backend, serial: "victim"))) { driver in
            withExtendedLifetime(file) {}
            let buffer = driver.allocate(1024)
            try driver.memory.write([UInt8](repeating: 0, count: 16), at: buffer)
            try driver.queues[0].add(readable: [(buffer, 16)], writable: [(GuestAddress(buffer.value + 64), 513)])
            try driver.queues[0].publish()
            try driver.settle()
            return try driver.queues[0].takeUsed().map(\.written) == [513] && driver.memory.load(at: GuestAddress(buffer.value + 576)) == UInt8(0)
        }
    case .entropy:
        return Victim(driver: try MockDriver(Entropy())) { driver in
            try driver.queues[0].add(writable: [(driver.allocate(32), 32)])
            try driver.queues[0].publish()
            try driver.settle()
            return try driver.queues[0].takeUsed().map(\.written) == [32]
        }
    case .console:
        let (device, test) = try socketPair()
        return Victim(driver: try MockDriver(try Console(input: try device.descriptor.duplicate()) { _ in })) { driver in
            while let more = SocketEnd.drain(test), !more.isEmpty {}
            try driver.queues[1].add(readable: [(driver.allocate(32), 32)])
            try driver.queues[1].publish()
            try driver.settle()
            return try driver.queues[1].takeUsed().map(\.written) == [0]
        }
    case .vsock:
        let host = try VsockHost()
        let (device, test) = try socketPair()
        return Victim(driver: try MockDriver(try Vsock(host: host))) { driver in
            host.expose(port: 1, socket: try device.descriptor.duplicate())
            withExtendedLifetime(test) {}
            let buffer = driver.allocate(256)
            try driver.memory.store(Packet(Operation.request, host: 1), at: buffer)
            try driver.queues[0].add(writable: [(GuestAddress(buffer.value + 64), 128)])
            try driver.queues[0].publish()
            try driver.queues[1].add(readable: [(buffer, 44)])
            try driver.queues[1].publish()
            try driver.settle()
            let operation: UInt16 = try driver.memory.load(at: GuestAddress(buffer.value + 64 + 30))
            return try driver.queues[0].takeUsed().count == 1 && operation == Operation.response
        }
    }
}

extension SocketEnd {
    fileprivate static func drain(_ end: SocketEnd) -> [UInt8]? { end.readNow() }
}

/// RAM starts and ends here; rings and buffers are drawn from it, from its ends, and from beyond.
private let ramSize: UInt64 = 4 << 20

private struct Attacker {
    var random: SeededRandom
    let driver: MockDriver

    mutating func address() -> UInt64 {
        switch UInt32.random(in: 0..<10, using: &random) {
        case 0: UInt64.random(in: .min ... .max, using: &random)
        case 1: ramSize - UInt64.random(in: 0..<64, using: &random)
        case 2: .max - UInt64.random(in: 0..<64, using: &random)
        case 3: 0xC000_0000 + UInt64.random(in: 0..<64, using: &random)
        default: UInt64.random(in: 0..<4096, using: &random) * 16
        }
    }

    mutating func length() -> UInt32 {
        switch UInt32.random(in: 0..<6, using: &random) {
        case 0: .random(in: .min ... .max, using: &random)
        case 1: 16 * .random(in: 0..<20, using: &random)
        case 2: 512 * .random(in: 0..<300, using: &random)
        default: .random(in: 0..<600, using: &random)
        }
    }

    /// One register write, biased towards registers that exist.
    mutating func register() {
        let registers = [
            MMIO.deviceFeaturesSelect, MMIO.driverFeatures, MMIO.driverFeaturesSelect, MMIO.queueSelect, MMIO.queueNum, MMIO.queueReady,
            MMIO.queueNotify, MMIO.queueNotify, MMIO.interruptAcknowledge, MMIO.status, MMIO.queueDescLow, MMIO.queueDescLow + 4,
            MMIO.queueDriverLow, MMIO.queueDeviceLow, MMIO.configuration,
        ]
        let known = UInt32.random(in: 0..<4, using: &random) > 0
        let offset = known ? registers.randomElement(using: &random) ?? 0 : UInt64.random(in: 0..<MMIOTransport.regionSize, using: &random)
        let size = known ? 4 : [1, 2, 4, 8].randomElement(using: &random) ?? 4
        let value = Bool.random(using: &random) ? UInt64.random(in: 0..<20, using: &random) : address()
        driver.transport.write(offset: offset, size: size, value: value)
        _ = driver.transport.read(offset: offset, size: size)
    }

    /// Rings somewhere, ready, and the device at work.
    mutating func activate() {
        driver.status = 0
        let features = driver.offeredFeatures & (Bool.random(using: &random) ? .max : ~(Feature.eventIndex))
        driver.negotiate(features)
        for index in driver.transport.queueEvents.indices {
            let layout = QueueLayout(
                size: 1 << UInt16.random(in: 0..<8, using: &random), descriptorTable: GuestAddress(address()),
                availableRing: GuestAddress(address()), usedRing: GuestAddress(address()))
            driver.install(layout, queue: index)
        }
        driver.status = Status.live
    }

    /// Well-placed rings, whose contents are what's left of the last attack.
    mutating func activateInPlace() throws { try driver.start(queueSize: 1 << UInt16.random(in: 0..<7, using: &random)) }

    mutating func scribble() throws {
        for _ in 0..<UInt32.random(in: 1..<40, using: &random) {
            let place = GuestAddress(UInt64.random(in: 0..<ramSize / 8, using: &random) & 0xFFFF * 8)
            switch UInt32.random(in: 0..<3, using: &random) {
            case 0: try? driver.memory.store(UInt64.random(in: 0..<64, using: &random), at: place)
            case 1: try? driver.memory.store(UInt64.random(in: .min ... .max, using: &random), at: place)
            default: try? driver.memory.store(UInt16.random(in: 0..<300, using: &random), at: place)
            }
        }
    }

    /// Chains that are almost right, with the requests that devices know.
    mutating func chains() throws {
        for queue in driver.queues {
            for _ in 0..<UInt32.random(in: 0..<6, using: &random) {
                let header = driver.allocate(64)
                try? driver.memory.store(UInt32.random(in: 0..<14, using: &random), at: header)
                try? driver.memory.store(UInt64.random(in: 0..<3000, using: &random), at: GuestAddress(header.value + 8))
                try? driver.memory.store(packet(), at: header)
                for slot in 0..<queue.layout.size where Bool.random(using: &random) {
                    let flags = UInt16.random(in: 0..<8, using: &random) & (Bool.random(using: &random) ? 3 : 7)
                    let target = Bool.random(using: &random) ? header.value : address()
                    let next = UInt16.random(in: 0...queue.layout.size, using: &random)
                    try? queue.write(MockDescriptor(raw: target, length(), flags: flags, next: next), at: queue.slot(slot))
                }
                try? queue.offer(UInt16.random(in: 0...queue.layout.size, using: &random))
            }
            try? queue.setAvailableIndex(queue.availableIndex &+ (UInt32.random(in: 0..<20, using: &random) == 0 ? 1000 : 0))
            queue.kick()
        }
    }

    private mutating func packet() -> Packet {
        var packet = Packet(
            UInt16.random(in: 0..<9, using: &random), host: .random(in: 0..<3, using: &random), guest: .random(in: 0..<3, using: &random),
            flags: .random(in: 0..<4, using: &random))
        packet.bufferAllocation = length()
        packet.forwardedCount = length()
        packet.length = length()
        return packet
    }

    mutating func step() throws {
        switch UInt32.random(in: 0..<12, using: &random) {
        case 0: activate()
        case 1, 2: try activateInPlace()
        case 3...5: try chains()
        case 6: try scribble()
        case 7...9: for _ in 0..<8 { register() }
        default: break
        }
        // The event loop's turns; a device that finds more to do for ever is fine as long as each turn ends.
        for _ in 0..<2 { try driver.runOnce() }
        // The allocator is the driver's own business; it begins again.
        if driver.allocate(0).value > ramSize / 4 { driver.release(to: GuestAddress(MockDriver.firstFree)) }
    }
}

@Test(arguments: Kind.allCases, FuzzBudget.seeds) private func anythingInAnyOrder(kind: Kind, seed: UInt64) throws {
    let victim = try victim(kind)
    var attacker = Attacker(random: SeededRandom(seed: seed), driver: victim.driver)
    let clock = ContinuousClock()
    let end = clock.now + FuzzBudget.duration
    var steps = 0
    while clock.now < end {
        try attacker.step()
        steps += 1
        if steps % 64 == 0 {
            #expect(try victim.driver.start() == Status.live, "after \(steps) steps")
            #expect(try victim.works(victim.driver), "after \(steps) steps")
        }
    }
    #expect(try victim.driver.start() == Status.live)
    #expect(try victim.works(victim.driver))
}
