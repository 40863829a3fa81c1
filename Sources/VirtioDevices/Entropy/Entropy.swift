// The virtio entropy device: virtio 1.2 §5.4.
import CLinux
import Glibc
import LinuxSystem
public import Virtio

/// Random bytes from the host's getrandom(2).
public final class Entropy: VirtioDevice {
    /// In bytes per request; a driver that asks for more gets less, which §5.4.6 allows.
    static let requestLimit = 4096

    private var queue: SplitQueue?
    public private(set) var metrics = EntropyMetrics()

    public init() {}

    public let traits = DeviceTraits(id: 4, features: 0, queueSizes: [8])

    /// The device has no configuration space.
    public func readConfiguration(offset: Int, size: Int) -> UInt64 { 0 }
    public func writeConfiguration(offset: Int, size: Int, value: UInt64) {}

    public func activate(_ activation: Activation) { queue = activation.queues[0] }

    public func queueNotified(_ index: Int) throws(VirtioError) -> Progress {
        guard let queue else { return .idle }
        return try queue.serve(atMost: 64) { (chain) throws(VirtioError) in
            var writer = chain.writer
            let bytes = try random(Int(min(writer.remaining, UInt64(Entropy.requestLimit))))
            metrics.requests += 1
            metrics.bytes += UInt64(bytes.count)
            return .used(UInt32(try writer.write(bytes: bytes)))
        }
    }

    private func random(_ count: Int) throws(VirtioError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            let start = done
            do throws(SystemError) {
                done += try systemCall("getrandom") {
                    // SAFETY: the kernel writes at most the bytes behind `start` in the array's own storage.
                    unsafe bytes.withUnsafeMutableBytes { unsafe getrandom($0.baseAddress?.advanced(by: start), count - start, 0) }
                }
            } catch { throw .host(error) }
        }
        return bytes
    }

    /// Never called: the device has no poll descriptor.
    public func hostReady() -> Progress { .idle }

    public func reset() { queue = nil }
}
