// Requests that each device knows, with any numbers in them, and what the host may do meanwhile.
import CLinux
import Glibc
import LinuxSystem
import Virtio
import VirtioDevices
import VirtioTesting

/// What a driver might ask for.
struct VictimRequest {
    var queue: Int
    var readable: [UInt8]
    /// In bytes.
    var writable: Int
}

/// A request of FUSE.
struct FileRequest {
    let bytes: [UInt8]

    init(_ operation: UInt32, node: UInt64, _ body: [UInt8]) {
        bytes =
            littleEndian(UInt64(40 + body.count), UInt64(operation), width: 4) + littleEndian(77, node, width: 8) + littleEndian(0, 0, 0, 0, width: 4)
            + body
    }
}

private func littleEndian(_ values: UInt64..., width: Int) -> [UInt8] {
    values.flatMap { value in (0..<width).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) } }
}

extension Attack {
    mutating func victimRequest() -> VictimRequest {
        switch victim.kind {
        case .entropy: VictimRequest(queue: 0, readable: [], writable: choices.pick(9000))
        case .console, .consoleWithoutInput:
            choices.chance(in: 2)
                ? VictimRequest(queue: 0, readable: [], writable: choices.pick(5000))
                : VictimRequest(queue: 1, readable: [UInt8](repeating: 0x61, count: choices.pick(9000)), writable: 0)
        case .vsock:
            choices.chance(in: 3)
                ? VictimRequest(queue: choices.element([0, 0, 0, 2]), readable: [], writable: choices.element([4096, 4096, 4096, 44, 43, 100]))
                : VictimRequest(queue: 1, readable: packet(), writable: 0)
        case .files: file()
        default: block()
        }
    }

    /// virtio 1.2 §5.11.6.
    private mutating func file() -> VictimRequest {
        let operation = UInt32(choices.element([1, 2, 3, 4, 14, 14, 15, 15, 16, 16, 18, 20, 25, 26, 35, 36, 38, 42, 43, 44, 46, 47, 51, 60]))
        var body: [UInt8] = []
        func numbers(_ values: UInt64...) -> [UInt8] { littleEndian(values[0], width: 8) + values.dropFirst().flatMap { littleEndian($0, width: 8) } }
        // Handles that may be there, offsets in the file, and counts of what fits.
        let (handle, other) = (UInt64(choices.pick(6)), UInt64(choices.pick(6)))
        let offset = choices.chance(in: 8) ? choices.bits() : UInt64(choices.pick(1 << 20))
        let count = choices.chance(in: 8) ? choices.bits() : UInt64(choices.pick(9000))
        switch operation {
        case 14: body = numbers(choices.bits())
        case 15, 16: body = numbers(handle, offset, count & 0xFFFF_FFFF, 0, 0)
        case 43: body = numbers(handle, offset, count, UInt64(choices.pick(64)))
        case 46: body = numbers(handle, offset, UInt64(choices.pick(6)))
        case 47: body = numbers(handle, offset, 7, other, UInt64(choices.pick(1 << 20)), count, 0)
        case 35, 51: body = [UInt8](repeating: 0, count: 16) + [0x61, 0]
        case 1: body = [0x61, 0]
        default: body = numbers(handle, offset, count, 0)
        }
        if operation == 16 { body += [UInt8](repeating: 0x44, count: choices.chance(in: 8) ? choices.pick(9000) : Int(count & 0x3FFF)) }
        if choices.chance(in: 16) { body = Array(body.prefix(choices.pick(body.count + 1))) }
        var bytes = FileRequest(operation, node: UInt64(choices.pick(4)), body).bytes
        if choices.chance(in: 32) { bytes[choices.pick(4)] &+= 1 }
        let writable = operation == 15 ? 16 + Int(count & 0x3FFF) : choices.element([16, 24, 160, 70000])
        return VictimRequest(queue: choices.element([1, 1, 1, 0]), readable: bytes, writable: choices.chance(in: 16) ? choices.pick(40) : writable)
    }

    /// virtio 1.2 §5.2.6.
    private mutating func block() -> VictimRequest {
        let type = choices.element([0, 0, 1, 1, 4, 8, 11, 13, 2, 14])
        let sector = choices.chance(in: 8) ? choices.bits() : UInt64(choices.pick(Victim.diskSize / 512 + 2))
        var request = VictimRequest(queue: 0, readable: littleEndian(UInt64(type), 0, width: 4) + littleEndian(sector, width: 8), writable: 1)
        let count = choices.chance(in: 8) ? choices.pick(70000) : 512 * choices.pick(40)
        switch type {
        case 0: request.writable += count
        case 1: request.readable += [UInt8](repeating: 0x77, count: count)
        case 8: request.writable += choices.element([20, 20, 19, 0, 512])
        case 11, 13:
            for _ in 0...(choices.chance(in: 4) ? choices.pick(20) : 0) {
                let start = choices.chance(in: 8) ? choices.bits() : UInt64(choices.pick(2048))
                let sectors = choices.chance(in: 8) ? choices.bits() : UInt64(choices.pick(100))
                request.readable += littleEndian(start, width: 8) + littleEndian(sectors, UInt64(choices.element([0, 0, 1, 2])), width: 4)
            }
        default: break
        }
        if choices.chance(in: 16) { request.writable = 0 }
        if choices.chance(in: 16) { request.readable = Array(request.readable.prefix(choices.pick(20))) }
        return request
    }

    /// virtio 1.2 §5.10.6.
    private mutating func packet() -> [UInt8] {
        var packet = Packet(UInt16(choices.pick(9)), host: UInt32(choices.pick(4)), guest: UInt32(choices.pick(4)), flags: UInt32(choices.pick(5)))
        // Hosts' own connections have upper ports.
        if choices.chance(in: 3) { packet.destinationPort = (1 << 30) + UInt32(choices.pick(8)) }
        if choices.chance(in: 32) { packet.type = UInt16(choices.pick(4)) }
        if choices.chance(in: 32) { packet.sourceCID = choices.bits() }
        packet.bufferAllocation = choices.chance(in: 2) ? length() : 256 << 10
        packet.forwardedCount = choices.chance(in: 4) ? length() : 0
        let count = choices.element([0, 1, 100, 5000, 60000])
        packet.length = choices.chance(in: 16) ? length() : UInt32(count)
        // SAFETY: a structure of integers without gaps.
        let header = unsafe withUnsafeBytes(of: packet) { unsafe Array($0.prefix(Packet.size)) }
        return header + [UInt8](repeating: 0x55, count: count)
    }

    /// Something that happens at the other end of the device.
    mutating func hostAction() throws {
        if victim.kind == .copyOnWriteBlock, choices.chance(in: 4) {
            _ = driver.transport.withDevice { ($0 as? Block)?.seal(limit: 100)?.count }
        }
        if let host = victim.host, choices.chance(in: 2), victim.sockets.count < 40 {
            let (device, test) = try socketPair()
            let port = UInt32(choices.pick(4))
            if choices.chance(in: 2) {
                host.expose(port: port, socket: try device.descriptor.duplicate())
            } else {
                host.connect(port: port, socket: try device.descriptor.duplicate())
            }
            victim.sockets.append(test)
        }
        guard !victim.sockets.isEmpty else { return }
        let index = choices.pick(victim.sockets.count)
        let socket = victim.sockets[index]
        switch choices.pick(6) {
        case 0: victim.sockets.remove(at: index)
        case 1: shutdown(socket.raw, Int32(choices.pick(3)))
        case 2, 3: _ = socket.readNow(limit: choices.pick(200_000))
        default: socket.writeNow([UInt8](repeating: 0x33, count: choices.pick(60_000)))
        }
    }
}
