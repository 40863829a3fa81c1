// Threads that are there before they may begin.
import Glibc

/// Closed until somebody opens it, once and for all. Belongs to who opens it; any number of threads may wait.
public final class Gate: Sendable {
    private let ends: Pipe

    public init() throws(SystemError) { ends = try OwnedDescriptor.pipe() }

    /// Returns when the gate is open.
    public func wait() {
        var entry = pollfd(fd: ends.reading.raw, events: Int16(POLLIN), revents: 0)
        // SAFETY: poll reads and writes one entry.
        while (try? systemCall("poll") { unsafe poll(&entry, 1, -1) }) == nil {}
    }

    public func open() {
        // What is written is never read: all who wait see it. The pipe takes many times what is ever written.
        try? writeAll(ends.writing.raw, [1])
    }
}
