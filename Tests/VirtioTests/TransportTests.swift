// The transport's state machine: what a driver does, and what it must not get away with.
import AddressSpace
import LinuxSystem
import Testing
import Virtio
import VirtioTesting

@Test func registersIdentifyTheDevice() throws {
    let driver = try MockDriver(EchoDevice())
    #expect(driver.read(MMIO.magic) == 0x7472_6976)
    #expect(driver.read(MMIO.version) == 2)
    #expect(driver.read(MMIO.deviceID) == 42)
    #expect(driver.offeredFeatures == 1 << 3 | Feature.indirect | Feature.eventIndex | Feature.version1)
    for register in stride(from: UInt64(0xB0), through: 0xBC, by: 4) { #expect(driver.read(register) == .max) }
}

@Test func aDriverBringsTheDeviceUpAsLinuxDoes() throws {
    let driver = try MockDriver(EchoDevice())
    #expect(try driver.start() == Status.live)
    #expect(driver.transport.echo.queueSizes == [16, 64])
    #expect(driver.read(MMIO.queueReady) == 1)
}

private let featureSets: [(UInt64, Bool)] = [
    (Feature.version1 | 1 << 3, true), (Feature.version1, true), (0, false), (1 << 3, false), (Feature.version1 | 1 << 4, false),
    (Feature.version1 | 1 << 63, false), (.max, false),
]

@Test(arguments: featureSets) func onlyOfferedFeaturesWithVersion1AreAccepted(features: UInt64, accepted: Bool) throws {
    let driver = try MockDriver(EchoDevice())
    #expect(driver.negotiate(features) == accepted)
    #expect(driver.status == (accepted ? 11 : 3))
}

/// Values written to Status one after another, and what it reads then.
private let statusWrites: [([UInt32], UInt32)] = [
    ([1], 1), ([2], 0), ([4], 0), ([8], 0), ([3], 3), ([1, 2], 3), ([1, 4], 1), ([1, 3, 7], 3), ([15], 3), ([1, 3, 11], 3), ([1, 3, 1], 3),
    ([1, 3, 0], 0), ([1, 128], 129), ([128], 128), ([1, 128, 3], 129), ([1, 128, 0, 1], 1), ([64], 0), ([1, 3, 67], 3), ([.max], 128),
]

@Test(arguments: statusWrites) func statusOnlyMovesForwardInOrder(writes: [UInt32], expected: UInt32) throws {
    let driver = try MockDriver(EchoDevice())
    for value in writes { driver.status = value }
    #expect(driver.status == expected)
    #expect(driver.transport.echo.activations == 0)
}

@Test func featuresAreFrozenByFeaturesOk() throws {
    let driver = try MockDriver(EchoDevice())
    driver.negotiate(Feature.version1)
    driver.accept(.max)
    driver.status = Status.live
    #expect(driver.status == Status.live)
}

@Test func aQueueChangedAfterActivationStaysAsItWas() throws {
    let driver = try MockDriver(EchoDevice())
    try driver.start()
    let elsewhere = QueueLayout(
        size: 64, descriptorTable: GuestAddress(0x100), availableRing: GuestAddress(0x200), usedRing: GuestAddress(0x300))
    driver.write(MMIO.queueSelect, 0)
    driver.write(MMIO.queueReady, 0)
    driver.install(elsewhere, queue: 0)
    #expect(driver.read(MMIO.queueReady) == 1)
    #expect(driver.transport.echo.queueSizes == [16, 64])
    #expect(try echo(driver, [1, 2, 3]) == [3, 2, 1])
}

@Test func queuesTakeShapeOnlyBetweenFeaturesOkAndDriverOk() throws {
    let driver = try MockDriver(EchoDevice())
    let layout = driver.allocateQueue(16)
    for status: UInt32 in [0, 1, 3] {
        driver.status = status
        driver.install(layout, queue: 0)
        #expect(driver.read(MMIO.queueReady) == 0)
    }
    driver.negotiate(Feature.version1)
    driver.install(layout, queue: 0)
    #expect(driver.read(MMIO.queueReady) == 1)
}

@Test(arguments: [0, 3, 12, 17, 32, 65536, 0x8000_0000, .max] as [UInt32]) func aQueueOfAnImpossibleSizeNeverBecomesReady(size: UInt32) throws {
    let driver = try MockDriver(EchoDevice())
    driver.negotiate(Feature.version1)
    driver.write(MMIO.queueSelect, 0)
    driver.write(MMIO.queueNum, size)
    driver.write(MMIO.queueReady, 1)
    #expect(driver.read(MMIO.queueReady) == 0)
}

@Test func aQueueThatTheDriverLeftOutIsEmpty() throws {
    let driver = try MockDriver(EchoDevice())
    driver.negotiate(Feature.version1)
    driver.status = Status.live
    driver.write(MMIO.queueNotify, 0)
    driver.write(MMIO.queueNotify, 1)
    #expect(try driver.settle())
    #expect(driver.status == Status.live)
    #expect(driver.transport.echo.queueSizes == [0, 0])
}

@Test(arguments: [2, 77, 0x7FFF_FFFF, .max] as [UInt32]) func aQueueThatIsNotThereHasNoRegisters(index: UInt32) throws {
    let driver = try MockDriver(EchoDevice())
    try driver.start()
    driver.write(MMIO.queueSelect, index)
    #expect(driver.read(MMIO.queueNumMax) == 0)
    #expect(driver.read(MMIO.queueReady) == 0)
    driver.write(MMIO.queueNotify, index)
    #expect(try driver.settle())
}

@Test func aNotificationBeforeActivationDoesNothing() throws {
    let driver = try MockDriver(EchoDevice())
    driver.write(MMIO.queueNotify, 0)
    #expect(try driver.settle())
    driver.transport.notify(queue: 5)
    driver.transport.hostReady()
    #expect(driver.transport.echo.requests == 0)
}

@Test func resetTakesTheDeviceBackToTheStart() throws {
    let driver = try MockDriver(EchoDevice())
    try driver.start()
    driver.queues[0].kick()
    driver.reset()
    #expect(driver.status == 0)
    #expect(driver.read(MMIO.queueReady) == 0)
    #expect(driver.read(MMIO.interruptStatus) == 0)
    #expect(try driver.settle())
    #expect(driver.transport.echo.resets == 1)
    try driver.start()
    #expect(try echo(driver, [9, 8]) == [8, 9])
}

@Test func aDriverThatGivesUpStopsTheDevice() throws {
    let driver = try MockDriver(EchoDevice())
    try driver.start()
    driver.status = Status.failed
    driver.status = Status.failed
    #expect(driver.status == Status.live | Status.failed)
    #expect(driver.transport.echo.resets == 1)
    driver.queues[0].kick()
    #expect(try driver.settle())
}

@Test func anErrorAsksForAResetAndTheDeviceWorksAfterIt() throws {
    let driver = try MockDriver(EchoDevice())
    try driver.start()
    try driver.queues[0].setAvailableIndex(17)
    driver.queues[0].kick()
    try driver.settle()
    #expect(driver.status == Status.live | Status.needsReset)
    #expect(driver.transport.failure == .availableIndex(ahead: 17, size: 16))
    #expect(driver.read(MMIO.interruptStatus) == 2)
    #expect(driver.read(MMIO.configurationGeneration) == 1)
    #expect(driver.interrupts.count == 1)
    driver.queues[0].kick()
    try driver.settle()
    #expect(driver.transport.echo.resets == 1)
    try driver.start()
    #expect(driver.transport.failure == nil)
    #expect(try echo(driver, [5, 6]) == [6, 5])
}

private let configurationReads: [(UInt64, Int, UInt64)] = [
    (0, 1, 0x11), (1, 2, 0x3322), (2, 4, 0x6655_4433), (0, 8, 0x8877_6655_4433_2211), (7, 1, 0x88), (6, 4, 0x8877), (8, 4, 0), (0xEFC, 4, 0),
]

@Test(arguments: configurationReads) func configurationSpaceIsReadInEverySize(offset: UInt64, size: Int, expected: UInt64) throws {
    let driver = try MockDriver(EchoDevice())
    #expect(driver.transport.read(offset: MMIO.configuration + offset, size: size) == expected)
}

@Test(arguments: [1, 2, 4, 8]) func everyAccessToEveryOffsetInEveryStateIsHarmless(size: Int) throws {
    let driver = try MockDriver(EchoDevice())
    let values: [UInt64] = [0, 1, 2, 4, 8, 15, 16, 0x8000, 0xFFFF_FFFF, .max]
    for value in values {
        for offset in 0..<MMIOTransport.regionSize {
            driver.transport.write(offset: offset, size: size, value: value)
            _ = driver.transport.read(offset: offset, size: size)
        }
        #expect(try driver.settle())
    }
    try driver.start()
    #expect(try echo(driver, [1, 2]) == [2, 1])
}

@Test func interruptsAreAcknowledgedOneByOne() throws {
    let driver = try MockDriver(EchoDevice())
    try driver.start()
    _ = try echo(driver, [1])
    #expect(driver.read(MMIO.interruptStatus) == 1)
    driver.write(MMIO.interruptAcknowledge, 2)
    #expect(driver.read(MMIO.interruptStatus) == 1)
    driver.write(MMIO.interruptAcknowledge, 1)
    #expect(driver.read(MMIO.interruptStatus) == 0)
}

/// One request through queue 0.
func echo(_ driver: MockDriver, _ bytes: [UInt8], indirect: Bool = false) throws -> [UInt8] {
    let queue = driver.queues[0]
    let input = driver.allocate(UInt64(bytes.count))
    let output = driver.allocate(UInt64(bytes.count))
    try driver.memory.write(bytes, at: input)
    let head = try queue.add(readable: [(input, bytes.count)], writable: [(output, bytes.count)], indirect: indirect)
    try queue.publish()
    try driver.settle()
    let used = try queue.takeUsed()
    #expect(used == [MockUsed(head: head, written: UInt32(bytes.count))])
    return try driver.memory.read(bytes.count, at: output)
}

/// A device that the host fails.
private final class FailingDevice: VirtioDevice {
    static let failure = VirtioError.host(SystemError(call: "epoll_ctl", errno: 12))
    let traits = DeviceTraits(id: 42, features: 0, queueSizes: [16])
    let failsAtOnce: Bool

    init(atOnce: Bool) { failsAtOnce = atOnce }

    func readConfiguration(offset: Int, size: Int) -> UInt64 { 0 }
    func writeConfiguration(offset: Int, size: Int, value: UInt64) {}
    func activate(_ activation: Activation) throws(VirtioError) { if failsAtOnce { throw Self.failure } }
    func queueNotified(_ index: Int) throws(VirtioError) -> Progress { throw Self.failure }
    func hostReady() -> Progress { .idle }
    func reset() {}
}

@Test(arguments: [true, false]) func aHostThatFailsADeviceIsReported(atOnce: Bool) throws {
    let driver = try MockDriver(FailingDevice(atOnce: atOnce))
    _ = try? driver.start()
    #expect(driver.hostFailures.count == (atOnce ? 1 : 0))
    driver.transport.notify(queue: 0)
    #expect(driver.transport.failure == FailingDevice.failure)
    // Once, however often it is notified.
    driver.transport.notify(queue: 0)
    #expect(driver.hostFailures.count == 1)
}
