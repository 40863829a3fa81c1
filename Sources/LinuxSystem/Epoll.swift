// epoll(7), level-triggered.
import CLinux
import Glibc

public struct Epoll: ~Copyable, Sendable {
    public let descriptor: OwnedDescriptor

    public struct Interest: OptionSet, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        public static let readable = Interest(rawValue: EPOLLIN.rawValue)
        public static let writable = Interest(rawValue: EPOLLOUT.rawValue)
        /// The peer shut down its writing half.
        public static let peerClosed = Interest(rawValue: EPOLLRDHUP.rawValue)
        /// Reported once per change instead of as long as it lasts (EPOLLET).
        public static let edgeTriggered = Interest(rawValue: 1 << 31)
        /// Always reported, never asked for.
        public static let hangUp = Interest(rawValue: EPOLLHUP.rawValue)
        public static let error = Interest(rawValue: EPOLLERR.rawValue)
    }

    public struct Event: Sendable {
        /// The number given to `add`.
        public let token: UInt64
        public let ready: Interest
    }

    public init() throws(SystemError) {
        let raw = try systemCall("epoll_create1") { epoll_create1(Int32(EPOLL_CLOEXEC)) }
        descriptor = OwnedDescriptor(owning: raw)
    }

    public borrowing func add(_ raw: Int32, _ interest: Interest, token: UInt64) throws(SystemError) {
        try control(EPOLL_CTL_ADD, raw, interest, token)
    }

    public borrowing func modify(_ raw: Int32, _ interest: Interest, token: UInt64) throws(SystemError) {
        try control(EPOLL_CTL_MOD, raw, interest, token)
    }

    /// Descriptors that are already gone are not an error.
    public borrowing func remove(_ raw: Int32) {
        try? control(EPOLL_CTL_DEL, raw, [], 0)
    }

    private borrowing func control(_ operation: Int32, _ raw: Int32, _ interest: Interest, _ token: UInt64) throws(SystemError) {
        var event = unsafe epoll_event(events: interest.rawValue, data: epoll_data_t(u64: token))
        let own = descriptor.raw
        // SAFETY: epoll_ctl reads one epoll_event during the call.
        try systemCall("epoll_ctl") { unsafe epoll_ctl(own, operation, raw, &event) }
    }

    /// Waits for at most `timeout` milliseconds (-1: for ever) and passes each ready descriptor on. At most 32 a call; an interrupted wait passes none.
    public borrowing func wait(timeout: Int32, _ handler: (Event) -> Void) throws(SystemError) {
        let own = descriptor.raw
        var failure: SystemError?
        // SAFETY: epoll_wait writes at most `capacity` events into the temporary buffer and says how many; only those are read.
        unsafe withUnsafeTemporaryAllocation(of: epoll_event.self, capacity: 32) { events in
            let count = unsafe epoll_wait(own, events.baseAddress, Int32(events.count), timeout)
            if count < 0 {
                let code = clinux_errno()
                if code != EINTR { failure = SystemError(call: "epoll_wait", errno: code) }
                return
            }
            for index in 0..<Int(count) {
                let event = unsafe events[index]
                unsafe handler(Event(token: event.data.u64, ready: Interest(rawValue: event.events)))
            }
        }
        if let failure { throw failure }
    }
}
