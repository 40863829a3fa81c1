// A device to be attacked, with a host side, and the proof that it still works afterwards.
public import AddressSpace
import CLinux
import Glibc
import LinuxSystem
import Virtio
import VirtioDevices
public import VirtioTesting

/// Each device, and each thing that a block device can be made of.
public enum VictimKind: String, CaseIterable, Sendable {
    case block, readOnlyBlock, ephemeralBlock, scatteredBlock, copyOnWriteBlock, entropy, console, consoleWithoutInput, vsock, files

    public var isBlock: Bool { rawValue.hasSuffix("lock") }
}

public final class Victim {
    public let kind: VictimKind
    public let driver: MockDriver
    /// Of a socket device.
    let host: VsockHost?
    /// The host's ends of its streams.
    var sockets: [SocketEnd] = []
    private let files: [ScratchFile]
    private let fence: MemoryFence

    /// The block devices' size in bytes.
    static let diskSize = 1 << 20

    /// A device with guest RAM of its own, or in `memory`.
    public init(_ kind: VictimKind, memory: GuestMemory? = nil) throws {
        let memory = try memory ?? GuestMemory(size: 2 << 20)
        self.kind = kind
        let files = kind.isBlock ? try (0..<3).map { _ in try ScratchFile(size: Victim.diskSize) } : []
        self.files = files
        switch kind {
        case .entropy: driver = try MockDriver(Entropy(), in: memory)
        case .console:
            let pair = try socketPair()
            sockets = [pair.test]
            driver = try MockDriver(try Console(input: try pair.device.descriptor.duplicate()) { _ in }, in: memory)
        case .consoleWithoutInput: driver = try MockDriver(Console(size: ConsoleSize(columns: 80, rows: 25)) { _ in }, in: memory)
        case .files: driver = try MockDriver(try FileSystem(try StandInNames(), tag: "victim", openFiles: 100), in: memory)
        case .vsock:
            let host = try VsockHost()
            self.host = host
            driver = try MockDriver(try Vsock(host: host), in: memory)
            fence = try MemoryFence(memory)
            return
        default: driver = try MockDriver(try Victim.disk(kind, files), in: memory)
        }
        host = nil
        fence = try MemoryFence(memory)
    }

    private static func disk(_ kind: VictimKind, _ files: [ScratchFile]) throws -> Block {
        let size = UInt64(diskSize)
        func whole(_ access: BlockAccess) throws -> Block {
            try Block(try BlockBackend.concatenation(of: [(files[0].raw, 0, size)], name: "victim", access: access), serial: "victim")
        }
        // Every other block of two files, and nothing at the end.
        func scattered() throws -> BlockBackend {
            let extents = (0..<16 as Range<UInt64>).map { number in
                BlockExtent(position: number * 12288, descriptor: files[Int(number % 2)].raw, offset: number * 4096, length: number == 7 ? 100 : 4096)
            }
            return try BlockBackend(extents: extents, size: size, name: "victim", access: .readOnly)
        }
        switch kind {
        case .readOnlyBlock: return try whole(.readOnly)
        case .ephemeralBlock: return try whole(.ephemeral)
        case .scatteredBlock: return try Block(try scattered(), serial: "victim")
        case .copyOnWriteBlock:
            let content = try BlockBackend(
                extents: [BlockExtent(position: 0, descriptor: files[0].raw, offset: 0, length: 65536)], size: size, name: "victim", access: .readOnly
            )
            return try Block(CopyOnWrite(content: content, files: [files[1].raw, files[2].raw], started: 0, limit: size / 2), serial: "")
        default: return try whole(.inPlace)
        }
    }

    // MARK: Work

    /// What the device has done so far: requests or packets, and bytes.
    public var work: (requests: UInt64, bytes: UInt64) {
        driver.transport.withDevice { device in
            switch device {
            case let block as Block:
                let metrics = block.metrics
                return (metrics.succeeded + metrics.failed + metrics.unsupported, metrics.bytesRead + metrics.bytesWritten)
            case let entropy as Entropy: return (entropy.metrics.requests, entropy.metrics.bytes)
            case let files as FileSystem: return (files.metrics.requests, files.metrics.bytesRead + files.metrics.bytesWritten)
            case let console as Console: return (0, console.metrics.bytesIn + console.metrics.bytesOut)
            case let vsock as Vsock:
                let metrics = vsock.metrics
                return (metrics.packetsFromGuest + metrics.packetsToGuest, metrics.bytesFromGuest + metrics.bytesToGuest)
            default: return (0, 0)
            }
        }
    }

    /// The most that one notification may make it do.
    public var workLimit: (requests: UInt64, bytes: UInt64) {
        switch kind {
        case .entropy: (64, 64 * 4096)
        // Twice a turn's bytes from the guest, and what a socket holds for it.
        case .console, .consoleWithoutInput: (0, 2 << 20)
        // A turn's bytes are reached by one request more.
        case .files: (64, 16 << 20)
        // Both directions, each packet with at most what credit allows.
        case .vsock: (2 * 128 + 128, 3 * 128 * 256 << 10)
        default: (32, 32 * UInt64(Victim.diskSize))
        }
    }

    /// The most often that one notification may make it reach for guest RAM: 128 chains, each of 256 descriptors that are read and used, and as often again for the rest.
    public static let accessLimit = 1 << 17

    /// The most that one notification may make it allocate, in bytes, for however short a time: lists of descriptors and vectors, and copies of what a socket or a console takes.
    public var allocationLimit: Int { kind == .vsock || kind == .files ? 128 << 20 : 16 << 20 }

    // MARK: Proof

    /// Brings the device up and makes a request of the kind it is there for. True if it was answered as it should be.
    public func works() throws -> Bool {
        guard try driver.start() == Status.live else { return false }
        let buffer = driver.allocate(1024)
        let memory = driver.memory
        try memory.write([UInt8](repeating: 0, count: 1024), at: buffer)
        func answer(_ offset: UInt64) -> GuestAddress { GuestAddress(buffer.value + 64 + offset) }
        switch kind {
        case .entropy:
            let written = try request(0, writable: (answer(0), 32))
            return try written == 32 && memory.read(32, at: answer(0)).contains { $0 != 0 }
        case .console, .consoleWithoutInput: return try request(1, readable: (buffer, 32)) == 0
        case .files:
            // GETATTR of the root.
            try memory.write(FileRequest(3, node: 1, [UInt8](repeating: 0, count: 16)).bytes, at: buffer)
            return try request(1, readable: (buffer, 56), writable: (answer(0), 200)) == 16
        case .vsock:
            // Connections that the host asked for meanwhile come first.
            let answers = try (0..<64).map { _ in
                let answer = driver.allocate(128)
                try memory.write([UInt8](repeating: 0, count: 128), at: answer)
                try driver.queues[0].add(writable: [(answer, 128)])
                return answer
            }
            try driver.queues[0].publish()
            let (device, test) = try socketPair()
            host?.expose(port: 1, socket: try device.descriptor.duplicate())
            try memory.store(Packet(Operation.request, host: 1), at: buffer)
            guard try request(1, readable: (buffer, 44)) == 0 else { return false }
            try driver.settle()
            withExtendedLifetime(test) {}
            return try answers.contains { try memory.load(UInt16.self, at: GuestAddress($0.value + 30)) == Operation.response }
        default:
            try memory.store(UInt8(0xFF), at: answer(512))
            let written = try request(0, readable: (buffer, 16), writable: (answer(0), 513))
            return try written == 513 && memory.load(at: answer(512)) == UInt8(0)
        }
    }

    /// One chain of well-behaved descriptors, and how many bytes the device says it wrote; nil if it never answered.
    private func request(_ queue: Int, readable: (GuestAddress, Int)? = nil, writable: (GuestAddress, Int)? = nil) throws -> UInt32? {
        try driver.queues[queue].add(readable: readable.map { [$0] } ?? [], writable: writable.map { [$0] } ?? [])
        try driver.queues[queue].publish()
        var used: [MockUsed] = []
        try driver.run {
            used += try driver.queues[queue].takeUsed(); return !used.isEmpty
        }
        return used.count == 1 ? used[0].written : nil
    }
}

/// Pages beside guest RAM that nobody may touch: what leaves it by a little ends the process.
private final class MemoryFence {
    private static let length = 1 << 20
    private var pages: [UInt64] = []

    init(_ memory: GuestMemory) throws {
        guard let first = memory.regions.first, let last = memory.regions.last else { return }
        for address in [first.hostAddress - UInt64(MemoryFence.length), last.hostAddress + last.count] {
            // MAP_FIXED_NOREPLACE: where something else lies already, that is as good as it gets.
            let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | 0x100000
            // SAFETY: nothing is replaced, and nobody reads it.
            let result = unsafe mmap(UnsafeMutableRawPointer(bitPattern: UInt(address)), MemoryFence.length, PROT_NONE, flags, -1, 0)
            if UInt(bitPattern: result) == UInt(address) { pages.append(address) }
        }
    }

    deinit {
        // SAFETY: our own pages.
        for page in pages { unsafe munmap(UnsafeMutableRawPointer(bitPattern: UInt(page)), MemoryFence.length) }
    }
}
