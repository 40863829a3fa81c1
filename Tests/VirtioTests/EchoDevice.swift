// The simplest device: answers each request with its bytes in reverse.
import AddressSpace
import Virtio

final class EchoDevice: VirtioDevice {
    let traits = DeviceTraits(id: 42, features: 1 << 3, queueSizes: [16, 64])
    private var queues: [SplitQueue] = []
    private(set) var activations = 0
    private(set) var resets = 0
    private(set) var requests = 0

    var queueSizes: [UInt16] { queues.map(\.size) }

    func readConfiguration(offset: Int, size: Int) -> UInt64 {
        var space = ConfigurationSpace()
        space.append(UInt64(0x8877_6655_4433_2211))
        return space.read(offset: offset, size: size)
    }

    func writeConfiguration(offset: Int, size: Int, value: UInt64) {}

    func activate(_ activation: Activation) {
        activations += 1
        queues = activation.queues
    }

    func queueNotified(_ index: Int) throws(VirtioError) -> Progress {
        try queues[index].serve(atMost: 1000) { (chain) throws(VirtioError) in
            var reader = chain.reader
            var writer = chain.writer
            requests += 1
            let bytes = try reader.bytes(Int(min(reader.remaining, 1 << 20)))
            return .used(UInt32(try writer.write(bytes: bytes.reversed())))
        }
    }

    func hostReady() -> Progress { .idle }

    func reset() {
        resets += 1
        queues = []
    }
}

extension MMIOTransport {
    var echo: (activations: Int, resets: Int, requests: Int, queueSizes: [UInt16]) {
        withDevice { device in
            guard let device = device as? EchoDevice else { return (0, 0, 0, []) }
            return (device.activations, device.resets, device.requests, device.queueSizes)
        }
    }
}
