// The few PC devices that a kernel without firmware still touches.
import Synchronization
import Testing

@testable import Machine

private final class Received: Sendable {
    let bytes = Mutex<[UInt8]>([])
    func append(_ byte: UInt8) { bytes.withLock { $0.append(byte) } }
    var all: [UInt8] { bytes.withLock { $0 } }
}

@Test func serialPrintsWhatIsTransmittedAndNotTheDivisor() {
    let received = Received()
    let serial = Serial { received.append($0) }
    serial.write(offset: 3, size: 1, value: 0x80)
    serial.write(offset: 0, size: 1, value: 0x01)
    serial.write(offset: 1, size: 1, value: 0x02)
    #expect(serial.read(offset: 0, size: 1) == 0x01)
    #expect(serial.read(offset: 1, size: 1) == 0x02)
    serial.write(offset: 3, size: 1, value: 0x03)
    serial.write(offset: 0, size: 1, value: 0x41)
    #expect(received.all == [0x41])
    #expect(serial.read(offset: 5, size: 1) == 0x60)
}

@Test func onlyTheResetCommandResets() {
    let resets = Received()
    let controller = KeyboardController { resets.append(1) }
    controller.write(offset: 0, size: 1, value: 0xFE)
    controller.write(offset: 4, size: 1, value: 0xFD)
    #expect(resets.all.isEmpty)
    controller.write(offset: 4, size: 1, value: 0xFE)
    #expect(resets.all == [1])
}
