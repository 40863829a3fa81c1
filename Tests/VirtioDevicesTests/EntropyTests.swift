// The entropy device.
import AddressSpace
import Testing
import Virtio
import VirtioDevices
import VirtioTesting

@Test(arguments: [(1, 1), (64, 64), (4096, 4096), (8192, 4096)]) func randomBytesFillTheBuffer(count: Int, expected: UInt32) throws {
    let driver = try MockDriver(Entropy())
    try driver.start()
    let buffer = driver.allocate(UInt64(count))
    let head = try driver.queues[0].add(writable: [(buffer, count)])
    try driver.queues[0].publish()
    try driver.settle()
    #expect(try driver.queues[0].takeUsed() == [MockUsed(head: head, written: expected)])
    let bytes = try driver.memory.read(count, at: buffer)
    #expect(count < 64 || Set(bytes).count > 16)
    #expect(bytes[Int(expected)...].allSatisfy { $0 == 0 })
}

@Test func aRequestWithoutRoomIsUsedEmpty() throws {
    let driver = try MockDriver(Entropy())
    try driver.start()
    let buffer = driver.allocate(16)
    let head = try driver.queues[0].add(readable: [(buffer, 16)])
    try driver.queues[0].publish()
    try driver.settle()
    #expect(try driver.queues[0].takeUsed() == [MockUsed(head: head, written: 0)])
}
