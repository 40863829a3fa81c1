// A guest's socket driver for tests: keeps receive buffers posted and speaks virtio 1.2 §5.10.6 by hand.
public import AddressSpace
import Glibc
import LinuxSystem
import Virtio
public import VirtioDevices
public import VirtioTesting

public enum Operation {
    public static let request: UInt16 = 1
    public static let response: UInt16 = 2
    public static let reset: UInt16 = 3
    public static let shutdown: UInt16 = 4
    public static let data: UInt16 = 5
    public static let creditUpdate: UInt16 = 6
    public static let creditRequest: UInt16 = 7
}

public struct Packet: BitwiseCopyable, Equatable, Sendable {
    public var sourceCID: UInt64 = 3
    public var destinationCID: UInt64 = 2
    public var sourcePort: UInt32 = 0
    public var destinationPort: UInt32 = 0
    public var length: UInt32 = 0
    public var type: UInt16 = 1
    public var operation: UInt16 = 0
    public var flags: UInt32 = 0
    public var bufferAllocation: UInt32 = 0
    public var forwardedCount: UInt32 = 0

    public static let size = 44

    /// From the guest's `guest` to the host's `host`.
    public init(_ operation: UInt16, host: UInt32, guest: UInt32 = 5000, flags: UInt32 = 0) {
        self.operation = operation
        self.flags = flags
        sourcePort = guest
        destinationPort = host
    }
}

public struct Received: Sendable {
    public let header: Packet
    public let payload: [UInt8]
}

public final class VsockGuest {
    public let driver: MockDriver
    public let host: VsockHost
    /// What the guest announces in every packet.
    public var bufferAllocation: UInt32 = 256 << 10
    public var forwarded: [UInt32: UInt32] = [:]
    /// Whether received payload counts as consumed at once.
    public var consumes = true
    private var buffers: [UInt16: GuestAddress] = [:]
    private let bufferSize: Int
    private var packetArea = GuestAddress(0)

    public init(buffers: Int = 64, bufferSize: Int = 4096) throws {
        let host = try VsockHost()
        self.host = host
        self.bufferSize = bufferSize
        driver = try MockDriver(try Vsock(host: host))
        try start(buffers: buffers)
    }

    public func start(buffers count: Int = 64) throws {
        try driver.start()
        buffers = [:]
        packetArea = driver.allocate(128 << 10)
        try post(count)
    }

    public var metrics: VsockMetrics { driver.transport.withDevice { ($0 as? Vsock)?.metrics } ?? VsockMetrics() }

    /// Makes so many more receive buffers available.
    public func post(_ count: Int) throws {
        for _ in 0..<count { try post(driver.allocate(UInt64(bufferSize))) }
        try driver.queues[0].publish()
    }

    private func post(_ buffer: GuestAddress) throws {
        buffers[try driver.queues[0].add(writable: [(buffer, bufferSize)])] = buffer
    }

    /// Sends one packet and lets the device work.
    public func send(_ packet: Packet, _ payload: [UInt8] = [], length: UInt32? = nil) throws {
        try offer(packet, payload, length: length)
        try driver.settle()
        _ = try driver.queues[1].takeUsed()
    }

    /// Sends one packet without waiting.
    public func offer(_ packet: Packet, _ payload: [UInt8] = [], length: UInt32? = nil, at area: GuestAddress? = nil) throws {
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
    public func receive(keep: Bool = false) throws -> [Received] {
        try driver.settle()
        return try collect(keep: keep)
    }

    /// The same without letting the device work first.
    public func collect(keep: Bool = false) throws -> [Received] {
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
    public func connect(host port: UInt32, guest: UInt32 = 5000) throws -> SocketEnd {
        let (device, test) = try socketPair()
        host.expose(port: port, socket: try device.descriptor.duplicate())
        try send(Packet(Operation.request, host: port, guest: guest))
        return test
    }
}

extension [Received] {
    public var operations: [UInt16] { map(\.header.operation) }
    public var payload: [UInt8] { flatMap(\.payload) }
}

/// Like `==`, but a failed expectation doesn't print the bytes, and a debug build doesn't take seconds.
public func same(_ left: [UInt8], _ right: [UInt8]) -> Bool { same(left, right[...]) }

public func same(_ left: [UInt8], _ right: ArraySlice<UInt8>) -> Bool {
    guard left.count == right.count else { return false }
    // SAFETY: both buffers have `count` bytes during the call.
    return unsafe left.withUnsafeBytes { a in
        unsafe right.withUnsafeBytes { b in
            guard let a = a.baseAddress, let b = b.baseAddress else { return true }
            return unsafe memcmp(a, b, left.count) == 0
        }
    }
}
