// Standard streams: a thread each, because the user's descriptors are shared with other processes and must stay blocking.
import CLinux
import Glibc
import Jail
import LinuxSystem
import Synchronization

/// Copies bytes from one descriptor to another until the source ends or the target is gone, on a thread of its own.
final class StreamRelay: Sendable {
    private static let chunk = 64 << 10

    /// Becomes readable when the relay has ended.
    private let ended: EventFD
    private let finished = Atomic<Bool>(false)
    private let readFailure = Mutex<SystemError?>(nil)

    init() throws(SystemError) { ended = try EventFD() }

    var endDescriptor: Int32 { ended.raw }
    var hasEnded: Bool { finished.load(ordering: .acquiring) }
    /// Why it ended before its source did: bytes that nobody has missed yet are lost. A target that fails is no such thing: whoever writes is told by a signal.
    var failure: SystemError? { readFailure.withLock { $0 } }

    /// From the guest to the user. The socket is shut down when the user's end is gone, so that the guest's writer gets its SIGPIPE.
    /// Begins when `gate` opens.
    func startOutput(
        from socket: Int32, to target: Int32, behind gate: Gate, _ filters: FilterSet, firstByte: @escaping @Sendable () -> Void
    ) throws(SystemError) {
        try filters.startThread(named: "output", .stream) { [self] in
            gate.wait()
            copy(from: socket, to: target, firstByte: firstByte)
            shutdown(socket, Int32(SHUT_RD))
            // As long as bytes wait here, a full socket would keep its other end from trying, and from failing.
            discard(from: socket)
            finish()
        }
    }

    /// From the user to the guest. End of file travels as the end of the socket's writing half.
    func startInput(from source: Int32, to socket: Int32, _ filters: FilterSet) throws(SystemError) {
        try filters.startThread(named: "input", .stream) { [self] in
            copy(from: source, to: socket, firstByte: {})
            shutdown(socket, Int32(SHUT_WR))
            finish()
        }
    }

    /// Ends at once: the socket's reading half has been shut down.
    private func discard(from socket: Int32) {
        // SAFETY: the buffer belongs to this thread for the whole loop; the kernel writes inside it only.
        unsafe withUnsafeTemporaryAllocation(byteCount: StreamRelay.chunk, alignment: 4096) { buffer in
            while let count = unsafe try? readSome(socket, into: buffer), count > 0 {}
        }
    }

    private func finish() {
        finished.store(true, ordering: .releasing)
        ended.signal()
    }

    private func copy(from source: Int32, to target: Int32, firstByte: () -> Void) {
        // SAFETY: the buffer belongs to this thread for the whole loop; the kernel reads and writes inside it only.
        unsafe withUnsafeTemporaryAllocation(byteCount: StreamRelay.chunk, alignment: 4096) { buffer in
            var first = true
            while true {
                let count: Int
                do throws(SystemError) { count = unsafe try readSome(source, into: buffer) } catch {
                    // Its other end was closed with input that nobody had read: the end of what it wrote has been reached all the same (unix(7)).
                    if error.errno != ECONNRESET { readFailure.withLock { $0 = error } }
                    return
                }
                if count == 0 { return }
                if first {
                    firstByte()
                    first = false
                }
                // Whoever reads is gone.
                guard (try? unsafe writeAll(target, UnsafeRawBufferPointer(rebasing: buffer[..<count]))) != nil else { return }
            }
        }
    }
}
