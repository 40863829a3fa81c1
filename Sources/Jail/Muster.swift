// Threads that must all be confined before the guest runs.
import Glibc
import LinuxSystem
import Synchronization

/// Counts the threads that were started and those that have their filter.
final class Muster: Sendable {
    private let expected = Atomic(UInt64(0))
    private let arrivals: EventFD

    init() throws(SystemError) { arrivals = try EventFD() }

    /// One more is on its way.
    func expect() { expected.add(1, ordering: .relaxed) }

    func arrive() { arrivals.signal() }

    /// Returns when all that were expected have arrived. Only the thread that expects them calls this.
    func wait() throws(SystemError) {
        var arrived: UInt64 = 0
        while arrived < expected.load(ordering: .relaxed) {
            var entry = pollfd(fd: arrivals.raw, events: Int16(POLLIN), revents: 0)
            // SAFETY: poll reads and writes one entry.
            try systemCall("poll") { unsafe poll(&entry, 1, -1) }
            arrived += arrivals.drain()
        }
    }
}
