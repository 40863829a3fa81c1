// eventfd(2): a counter that a thread, KVM (irqfd, ioeventfd) and epoll can share.
import CLinux
import Glibc

public struct EventFD: ~Copyable, Sendable {
    public let descriptor: OwnedDescriptor

    public init() throws(SystemError) {
        let raw = try systemCall("eventfd") { eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK)) }
        descriptor = OwnedDescriptor(owning: raw)
    }

    public var raw: Int32 { descriptor.raw }

    /// Adds one. A full counter (2^64 - 2 pending) has woken whoever waits.
    public borrowing func signal() { EventFD.signal(descriptor.raw) }

    /// The same through a copy of its descriptor. Lost, it would leave somebody waiting forever: the process ends instead, with status 125.
    public static func signal(_ raw: Int32) {
        while eventfd_write(raw, 1) != 0 {
            let code = clinux_errno()
            switch code {
            case EINTR: continue
            case EAGAIN: return
            default:
                printError("swiftlet: \(SystemError(call: "write", subject: "eventfd", errno: code))")
                _exit(125)
            }
        }
    }

    /// Takes the counter back to zero and returns what it held.
    @discardableResult
    public borrowing func drain() -> UInt64 {
        var value: eventfd_t = 0
        // SAFETY: eventfd_read writes one 64-bit counter.
        return unsafe eventfd_read(descriptor.raw, &value) == 0 ? UInt64(value) : 0
    }
}
