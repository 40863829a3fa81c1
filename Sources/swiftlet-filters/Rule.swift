// Rules of seccomp filters, as data.
import CLinux
import Glibc

/// What an argument of an allowed system call must be.
enum Condition {
    /// Argument `number` (counted from 0) is `value`.
    case argument(Int, is: UInt64)
    /// Of the bits in `mask`, argument `number` has those of `value` and no other.
    case bits(Int, mask: UInt64, are: UInt64)
}

/// A system call that a thread may make: whatever its arguments are, or where all of `conditions` hold. Several rules for one call allow what any of them allows.
struct Rule {
    let call: String
    let conditions: [Condition]
    /// Who needs it.
    let reason: String

    static func allow(_ call: String, _ conditions: Condition..., for reason: String) -> Rule {
        Rule(call: call, conditions: conditions, reason: reason)
    }

    /// An ioctl(2) by its request.
    static func request(_ value: UInt, for reason: String) -> Rule {
        // The kernel looks at the lower half only.
        Rule(call: "ioctl", conditions: [.bits(1, mask: 0xFFFF_FFFF, are: UInt64(value))], reason: reason)
    }
}
