// The console.
import AddressSpace
import DeviceTesting
import LinuxSystem
import Synchronization
import Testing
import Virtio
import VirtioDevices
import VirtioTesting

/// Collects what the console puts out.
private final class Screen: Sendable {
    private let text = Mutex<[UInt8]>([])
    func append(_ bytes: [UInt8]) { text.withLock { $0 += bytes } }
    var bytes: [UInt8] { text.withLock { $0 } }
}

@Test(arguments: [1, 100, 4096, 10_000]) func outputArrivesInOrder(count: Int) throws {
    let screen = Screen()
    let driver = try MockDriver(Console { screen.append($0) })
    try driver.start()
    let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 3) }
    let buffer = driver.allocate(UInt64(count))
    try driver.memory.write(bytes, at: buffer)
    for _ in 0..<3 { try driver.queues[1].add(readable: [(buffer, count)]) }
    try driver.queues[1].publish()
    try driver.settle()
    #expect(try driver.queues[1].takeUsed().map(\.written) == [0, 0, 0])
    #expect(same(screen.bytes, bytes + bytes + bytes))
}

@Test func inputFillsTheGuestsBuffers() throws {
    let (device, test) = try socketPair()
    let driver = try MockDriver(try Console(input: try device.descriptor.duplicate()) { _ in })
    test.writeNow([1, 2, 3, 4, 5])
    #expect(try !driver.runOnce())
    try driver.start()
    let buffer = driver.allocate(16)
    try driver.queues[0].add(writable: [(buffer, 3)])
    try driver.queues[0].publish()
    try driver.settle()
    #expect(try driver.queues[0].takeUsed().map(\.written) == [3])
    // Input without a buffer keeps nobody busy.
    #expect(try driver.settle(limit: 3))
    try driver.queues[0].add(writable: [(GuestAddress(buffer.value + 3), 13)])
    try driver.queues[0].publish()
    try driver.settle()
    #expect(try driver.queues[0].takeUsed().map(\.written) == [2])
    #expect(try driver.memory.read(5, at: buffer) == [1, 2, 3, 4, 5])
}

@Test func laterInputWakesTheDevice() throws {
    let (device, test) = try socketPair()
    let driver = try MockDriver(try Console(input: try device.descriptor.duplicate()) { _ in })
    try driver.start()
    let buffer = driver.allocate(16)
    for _ in 0..<4 { try driver.queues[0].add(writable: [(buffer, 16)]) }
    try driver.queues[0].publish()
    try driver.settle()
    for round in 1...3 {
        test.writeNow([UInt8](repeating: 7, count: round))
        try driver.settle()
        #expect(try driver.queues[0].takeUsed().map(\.written) == [UInt32(round)])
    }
}

@Test func theSizeIsConfiguration() throws {
    let driver = try MockDriver(Console(size: ConsoleSize(columns: 132, rows: 50)) { _ in })
    #expect(driver.offeredFeatures & 1 == 1)
    #expect(driver.transport.read(offset: MMIO.configuration, size: 4) == 50 << 16 | 132)
}

@Test func outputFromTheEndOfRAMStopsTheDevice() throws {
    let driver = try MockDriver(Console { _ in }, memory: 8 << 20)
    try driver.start()
    try driver.queues[1].add(readable: [(GuestAddress((8 << 20) - 4), 8)])
    try driver.queues[1].publish()
    try driver.settle()
    #expect(driver.status == Status.live | Status.needsReset)
}
