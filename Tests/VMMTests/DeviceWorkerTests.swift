// The threads of the disks and file systems: what keeps it waiting holds up nobody else.
import AddressSpace
import Glibc
import Jail
import LinuxSystem
import Synchronization
import Testing
import Virtio
import VirtioDevices
import VirtioTesting

@testable import VMM

/// A disk that takes as long as the test wants.
private final class SlowDevice: VirtioDevice {
    final class Host: Sendable {
        let entered = Atomic(0)
        let mayGoOn = Atomic(false)
        let resets = Atomic(0)
    }

    let host: Host
    private var queue: SplitQueue?

    init(_ host: Host) { self.host = host }

    var traits: DeviceTraits { DeviceTraits(id: 2, features: 0, queueSizes: [16]) }
    func readConfiguration(offset: Int, size: Int) -> UInt64 { 0 }
    func writeConfiguration(offset: Int, size: Int, value: UInt64) {}
    func activate(_ activation: Activation) { queue = activation.queues[0] }
    func hostReady() -> Progress { .idle }

    func reset() {
        queue = nil
        host.resets.add(1, ordering: .relaxed)
    }

    func queueNotified(_ index: Int) throws(VirtioError) -> Progress {
        guard let queue else { return .idle }
        return try queue.serve { _ in
            host.entered.add(1, ordering: .relaxed)
            while !host.mayGoOn.load(ordering: .relaxed) { usleep(100) }
            return .used(0)
        }
    }
}

private func waitUntil(_ condition: () -> Bool) {
    while !condition() { usleep(100) }
}

@Suite struct DeviceWorkers {
    private let host = SlowDevice.Host()
    private let driver: MockDriver
    private let worker: DeviceWorker
    private let turns = Counter()
    private let ended = Counter()

    private final class Counter: Sendable {
        let value = Atomic(0)
        func count() { value.add(1, ordering: .releasing) }
        var now: Int { value.load(ordering: .acquiring) }
    }

    init() throws {
        driver = try MockDriver(SlowDevice(host))
        let turns = turns
        worker = try DeviceWorker([DeviceWorker.Device(transport: driver.transport) { turns.count() }], as: .block, end: try EndSignal())
        let (worker, ended) = (worker, ended)
        try driver.start()
        try Thread.start(named: "block") {
            worker.run()
            ended.count()
        }
        try driver.queues[0].add(readable: [(driver.allocate(16), 16)])
        try driver.queues[0].publish()
        let host = host
        waitUntil { host.entered.load(ordering: .relaxed) == 1 }
    }

    @Test func aDiskIsServedByItsThread() throws {
        host.mayGoOn.store(true, ordering: .relaxed)
        waitUntil { turns.now >= 1 }
        #expect(try driver.queues[0].takeUsed().count == 1)
        #expect(driver.interrupts.count == 1)
        worker.stop()
        waitUntil { ended.now == 1 }
    }

    /// What a driver needs while its requests are on their way: interrupts and notifications.
    @Test func aSlowDiskHoldsUpNoProcessor() {
        driver.write(MMIO.interruptAcknowledge, 3)
        #expect(driver.read(MMIO.interruptStatus) == 0)
        #expect(driver.read(MMIO.magic) == 0x7472_6976)
        driver.write(MMIO.queueNotify, 0)
        #expect(turns.now == 0)
        host.mayGoOn.store(true, ordering: .relaxed)
        worker.stop()
        waitUntil { ended.now == 1 }
    }

    /// After the reset the driver's buffers are its own again: the request that is on its way is over by then.
    @Test func aResetWaitsForTheRequest() throws {
        let reset = Counter()
        let transport = driver.transport
        try Thread.start(named: "resetting") {
            transport.write(offset: MMIO.status, size: 4, value: 0)
            reset.count()
        }
        usleep(20_000)
        #expect(reset.now == 0)
        #expect(host.resets.load(ordering: .relaxed) == 0)
        host.mayGoOn.store(true, ordering: .relaxed)
        waitUntil { reset.now == 1 }
        #expect(host.resets.load(ordering: .relaxed) == 1)
        #expect(driver.status == 0)
        worker.stop()
        waitUntil { ended.now == 1 }
    }

    @Test func stoppingWaitsForNoDisk() {
        worker.stop()
        #expect(ended.now == 0)
        host.mayGoOn.store(true, ordering: .relaxed)
        waitUntil { ended.now == 1 }
        #expect(turns.now <= 1)
    }
}
