// Several vCPUs at once: registers and RAM change while the event loop serves the device.
import AddressSpace
import DeviceTesting
import Glibc
import LinuxSystem
import Synchronization
import Testing
import Virtio
import VirtioDevices
import VirtioTesting

/// A vCPU that resets the device, brings it up, notifies it, and scribbles over the rings and buffers that it is working on.
private final class Disturber: Sendable {
    private enum Phase {
        static let running = 0
        static let stopping = 1
        static let stopped = 2
    }

    private let transport: MMIOTransport
    private let memory: GuestMemory
    private let phase = Atomic(Phase.running)

    init(_ driver: MockDriver, seed: UInt64) throws {
        transport = driver.transport
        memory = driver.memory
        try Thread.start(named: "disturber") { [self] in
            disturb(seed)
            phase.store(Phase.stopped, ordering: .releasing)
        }
    }

    /// Returns when the thread does nothing any more.
    func stop() {
        phase.store(Phase.stopping, ordering: .relaxed)
        while phase.load(ordering: .acquiring) != Phase.stopped { usleep(100) }
    }

    private func disturb(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let statuses: [UInt64] = [0, 1, 3, 11, 15, 15, 15, 128]
        while phase.load(ordering: .relaxed) == Phase.running {
            switch UInt32.random(in: 0..<40, using: &random) {
            case 0: transport.write(offset: MMIO.status, size: 4, value: statuses.randomElement(using: &random) ?? 0)
            case 1...4: transport.write(offset: MMIO.queueNotify, size: 4, value: UInt64.random(in: 0..<3, using: &random))
            case 5: transport.write(offset: MMIO.interruptAcknowledge, size: 4, value: 3)
            case 6: _ = transport.read(offset: UInt64.random(in: 0..<64, using: &random) * 4, size: 4)
            default:
                let place = GuestAddress(MockDriver.firstFree + UInt64.random(in: 0..<2048, using: &random) * 2)
                try? memory.store(UInt16.random(in: 0..<100, using: &random), at: place)
            }
        }
    }
}

@Test(arguments: VictimKind.allCases) func virtualProcessorsMayRace(kind: VictimKind) throws {
    let victim = try Victim(kind)
    let driver = victim.driver
    let disturbers = try FuzzBudget.seeds.map { try Disturber(driver, seed: $0) }
    let clock = ContinuousClock()
    let end = clock.now + FuzzBudget.duration
    var rounds = 0
    while clock.now < end {
        if driver.status != Status.live { try driver.start(queueSize: 16) }
        for queue in driver.queues {
            let buffer = driver.allocate(0)
            _ = try? queue.add(readable: [(buffer, 64)], writable: [(GuestAddress(buffer.value + 64), 1025)])
            try? queue.publish()
        }
        try driver.runOnce()
        rounds += 1
    }
    for disturber in disturbers { disturber.stop() }
    #expect(rounds > 0)
    driver.reset()
    #expect(try victim.works())
    #expect(driver.transport.failure == nil)
}
