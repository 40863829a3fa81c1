// Threads that are there before they may begin.
import Glibc

/// Closed until somebody opens it, once and for all. Belongs to who opens it; any number of threads may wait.
public final class Gate: Sendable {
    /// Readable from then on: nobody takes what it counts.
    private let opened: EventFD

    public init() throws(SystemError) { opened = try EventFD() }

    /// Returns when the gate is open.
    public func wait() {
        var entry = pollfd(fd: opened.raw, events: Int16(POLLIN), revents: 0)
        // SAFETY: poll reads and writes one entry.
        while (try? systemCall("poll") { unsafe poll(&entry, 1, -1) }) == nil {}
    }

    public func open() { opened.signal() }
}
