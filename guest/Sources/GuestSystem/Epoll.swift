// Waiting for many descriptors (epoll(7)).
internal import CGuest

/// What happened to a descriptor.
public struct PollEvent {
    /// As given to `add`.
    public let token: UInt64
    /// Reading or writing makes progress, if only to an end or an error.
    public let isReadable: Bool
    public let isWritable: Bool
}

public struct Poller: ~Copyable {
    private let descriptor: OwnedDescriptor

    public init() throws(SystemError) { descriptor = OwnedDescriptor(owning: try systemCall { epoll_create1(EPOLL_CLOEXEC) }) }

    /// Level-triggered and for reading only, or edge-triggered for both directions.
    public func add(_ target: Int32, token: UInt64, edgeTriggered: Bool = false) throws(SystemError) {
        let events = edgeTriggered ? UInt32(EPOLLIN | EPOLLOUT | EPOLLRDHUP) | 1 << 31 : UInt32(EPOLLIN)
        try systemCall { guest_epoll_add(descriptor.raw, target, events, token) }
    }

    /// The descriptor stays open.
    public func remove(_ target: Int32) { _ = guest_epoll_remove(descriptor.raw, target) }

    /// Waits without limit, or not at all.
    public func wait(blocking: Bool) -> [PollEvent] {
        var events = [guest_event](repeating: guest_event(), count: 16)
        // SAFETY: at most 16 events are written.
        let count = unsafe events.withUnsafeMutableBufferPointer { unsafe guest_epoll_wait(descriptor.raw, $0.baseAddress, 16, blocking ? -1 : 0) }
        if count <= 0 { return [] }
        return events[..<Int(count)].map { event in
            let hasFailed = event.events & UInt32(EPOLLHUP | EPOLLERR) != 0
            return PollEvent(
                token: event.token, isReadable: hasFailed || event.events & UInt32(EPOLLIN | EPOLLRDHUP) != 0,
                isWritable: hasFailed || event.events & UInt32(EPOLLOUT) != 0)
        }
    }
}
