// The one epoll loop of the process: device notifications, host descriptors of devices, signals, the agent's control connection.
public import LinuxSystem

/// Calls a handler for each descriptor that is ready. Belongs to the main thread.
public final class EventLoop {
    public typealias Handler = (Epoll.Interest) -> Void

    private let epoll: Epoll
    private var handlers: [Int32: Handler] = [:]
    private var stopped = false

    public init() throws(SystemError) { epoll = try Epoll() }

    /// Watches `raw` until `remove`; the caller keeps it open as long.
    public func add(_ raw: Int32, _ interest: Epoll.Interest, _ handler: @escaping Handler) throws(SystemError) {
        try epoll.add(raw, interest, token: UInt64(UInt32(bitPattern: raw)))
        handlers[raw] = handler
    }

    public func modify(_ raw: Int32, _ interest: Epoll.Interest) throws(SystemError) {
        try epoll.modify(raw, interest, token: UInt64(UInt32(bitPattern: raw)))
    }

    public func remove(_ raw: Int32) {
        epoll.remove(raw)
        handlers[raw] = nil
    }

    /// Makes `run` return after the handler that is running.
    public func stop() { stopped = true }

    public func run() throws(SystemError) {
        stopped = false
        while !stopped {
            try epoll.wait(timeout: -1) { event in
                // A handler that ran before this one in the same round may have removed it.
                if stopped { return }
                handlers[Int32(bitPattern: UInt32(truncatingIfNeeded: event.token))]?(event.ready)
            }
        }
    }
}
