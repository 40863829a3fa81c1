// A guest's socket driver for tests: keeps receive buffers posted and speaks virtio 1.2 §5.10.6 by hand.
import AddressSpace
import Glibc
import LinuxSystem
import Virtio
import VirtioDevices
import VirtioTesting

enum Operation {
    static let request: UInt16 = 1
    static let response: UInt16 = 2
    static let reset: UInt16 = 3
    static let shutdown: UInt16 = 4
    static let data: UInt16 = 5
    static let creditUpdate: UInt16 = 6
    static let creditRequest: UInt16 = 7
}

struct Packet: BitwiseCopyable, Equatable {
    var sourceCID: UInt64 = 3
    var destinationCID: UInt64 = 2
    var sourcePort: UInt32 = 0
    var destinationPort: UInt32 = 0
    var length: UInt32 = 0
    var type: UInt16 = 1
    var operation: UInt16 = 0
    var flags: UInt32 = 0
    var bufferAllocation: UInt32 = 0
    var forwardedCount: UInt32 = 0

    static let size = 44

    /// From the guest's `guest` to the host's `host`.
    init(_ operation: UInt16, host: UInt32, guest: UInt32 = 5000, flags: UInt32 = 0) {
        self.operation = operation
        self.flags = flags
        sourcePort = guest
        destinationPort = host
    }
}

struct Received {
    let header: Packet
    let payload: [UInt8]
}

final class VsockGuest {
    let driver: MockDriver
    let host: VsockHost
    /// What the guest announces in every packet.
    var bufferAllocation: UInt32 = 256 << 10
    var forwarded: [UInt32: UInt32] = [:]
    /// Whether received payload counts as consumed at once.
    var consumes = true
    private var buffers: [UInt16: GuestAddress] = [:]
    private let bufferSize: Int
    private var packetArea = GuestAddress(0)

    init(buffers: Int = 64, bufferSize: Int = 4096) throws {
        let host = try VsockHost()
        self.host = host
        self.bufferSize = bufferSize
        driver = try MockDriver(try Vsock(host: host))
        try start(buffers: buffers)
    }

    func start(buffers count: Int = 64) throws {
        try driver.start()
        buffers = [:]
        packetArea = driver.allocate(128 << 10)
        try post(count)
    }

    var metrics: VsockMetrics { driver.transport.withDevice { ($0 as? Vsock)?.metrics } ?? VsockMetrics() }

    /// Makes so many more receive buffers available.
    func post(_ count: Int) throws {
        for _ in 0..<count { try post(driver.allocate(UInt64(bufferSize))) }
        try driver.queues[0].publish()
    }

    private func post(_ buffer: GuestAddress) throws {
        buffers[try driver.queues[0].add(writable: [(buffer, bufferSize)])] = buffer
    }

    /// Sends one packet and lets the device work.
    func send(_ packet: Packet, _ payload: [UInt8] = [], length: UInt32? = nil) throws {
        try offer(packet, payload, length: length)
        try driver.settle()
        _ = try driver.queues[1].takeUsed()
    }

    /// Sends one packet without waiting.
    func offer(_ packet: Packet, _ payload: [UInt8] = [], length: UInt32? = nil, at area: GuestAddress? = nil) throws {
        var packet = packet
        packet.length = length ?? UInt32(payload.count)
        packet.bufferAllocation = bufferAllocation
        packet.forwardedCount = forwarded[packet.destinationPort] ?? 0
        let area = area ?? packetArea
        try driver.memory.store(packet, at: area)
        var readable = [(area, Packet.size)]
        if !payload.isEmpty {
            let body = GuestAddress(area.value + 64)
            try driver.memory.write(payload, at: body)
            readable.append((body, payload.count))
        }
        try driver.queues[1].add(readable: readable)
        try driver.queues[1].publish()
    }

    /// The packets that have come; their buffers are posted again unless `keep`.
    func receive(keep: Bool = false) throws -> [Received] {
        try driver.settle()
        return try collect(keep: keep)
    }

    /// The same without letting the device work first.
    func collect(keep: Bool = false) throws -> [Received] {
        var packets: [Received] = []
        var free: [GuestAddress] = []
        for used in try driver.queues[0].takeUsed() {
            guard let buffer = buffers.removeValue(forKey: used.head) else { throw MockDriverError.unexpectedUsed(UInt32(used.head)) }
            let header: Packet = try driver.memory.load(at: buffer)
            let payload = try driver.memory.read(Int(used.written) - Packet.size, at: GuestAddress(buffer.value + UInt64(Packet.size)))
            if consumes { forwarded[header.sourcePort, default: 0] &+= UInt32(payload.count) }
            packets.append(Received(header: header, payload: payload))
            free.append(buffer)
        }
        if keep || free.isEmpty { return packets }
        for buffer in free { try post(buffer) }
        try driver.queues[0].publish()
        return packets
    }

    /// Opens a connection to an exposed socket; the test's end of it.
    func connect(host port: UInt32, guest: UInt32 = 5000) throws -> SocketEnd {
        let (device, test) = try socketPair()
        host.expose(port: port, socket: try device.descriptor.duplicate())
        try send(Packet(Operation.request, host: port, guest: guest))
        return test
    }
}

extension [Received] {
    var operations: [UInt16] { map(\.header.operation) }
    var payload: [UInt8] { flatMap(\.payload) }
}

/// Like `==`, but a failed expectation doesn't print the bytes, and a debug build doesn't take seconds.
func same(_ left: [UInt8], _ right: [UInt8]) -> Bool { same(left, right[...]) }

func same(_ left: [UInt8], _ right: ArraySlice<UInt8>) -> Bool {
    guard left.count == right.count else { return false }
    // SAFETY: both buffers have `count` bytes during the call.
    return unsafe left.withUnsafeBytes { a in
        unsafe right.withUnsafeBytes { b in
            guard let a = a.baseAddress, let b = b.baseAddress else { return true }
            return unsafe memcmp(a, b, left.count) == 0
        }
    }
}
