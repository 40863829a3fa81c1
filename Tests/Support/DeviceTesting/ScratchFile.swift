// Files and sockets that die with the test.
import CLinux
import Glibc
public import LinuxSystem

/// A file in memory.
public final class ScratchFile: Sendable {
    public let descriptor: OwnedDescriptor

    public init(_ bytes: [UInt8] = [], size: Int? = nil) throws {
        descriptor = try OwnedDescriptor.memory(named: "scratch")
        try writeAll(descriptor.raw, bytes)
        if let size { ftruncate(descriptor.raw, size) }
    }

    /// A file that the test opened.
    public init(owning descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }

    public var raw: Int32 { descriptor.raw }

    public var bytes: [UInt8] {
        get throws {
            lseek(raw, 0, SEEK_SET)
            return try readAll(raw, limit: 64 << 20)
        }
    }
}

/// One end of a connected pair of stream sockets, the test's.
public final class SocketEnd: Sendable {
    public let descriptor: OwnedDescriptor

    public init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }

    public var raw: Int32 { descriptor.raw }

    /// What can be read now; nil at the end of the stream.
    public func readNow(limit: Int = 1 << 20) -> [UInt8]? {
        var result: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while result.count < limit {
            // SAFETY: the kernel writes at most the array's count.
            let count = unsafe chunk.withUnsafeMutableBytes {
                unsafe recv(raw, $0.baseAddress, min($0.count, limit - result.count), Int32(MSG_DONTWAIT))
            }
            if count == 0 { return result.isEmpty ? nil : result }
            // An end that was closed with bytes unread.
            if count < 0, clinux_errno() == ECONNRESET, result.isEmpty { return nil }
            if count < 0 { break }
            result += chunk[..<count]
        }
        return result
    }

    /// Writes what fits now; how many bytes, or the negative errno.
    @discardableResult
    public func writeNow(_ bytes: [UInt8]) -> Int {
        // SAFETY: the kernel reads the array's bytes during the call.
        let count = unsafe bytes.withUnsafeBytes { unsafe send(raw, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL)) }
        return count < 0 ? -Int(clinux_errno()) : count
    }
}

/// A pair of sockets: the device's end, and the test's.
public func socketPair() throws -> (device: SocketEnd, test: SocketEnd) {
    let pair = try OwnedDescriptor.socketPair(nonBlocking: true)
    return (SocketEnd(pair.first), SocketEnd(pair.second))
}
