// Whom the VMM becomes (docs/adr/0013).
import CLinux
import Glibc
import LinuxSystem

public enum Identity: String, Sendable {
    /// A user that nobody else is: of root's VMMs each gets its own.
    case fresh
    /// The caller, in a user namespace that knows nobody else.
    case caller

    /// User and group ids of fresh identities begin here and are counted by process ids, of which no two that live at once are equal.
    /// systemd's list of the ranges in use (UIDS-GIDS) leaves 1879048192 to 2147483647 to nobody.
    public static let firstUser: UInt32 = 0x7000_0000
    /// PID_MAX_LIMIT.
    static let users: UInt32 = 1 << 22

    /// What this process can give: fresh users are for root whose user namespace has them.
    public static let available = find()

    /// Whom the file server becomes, which needs no user of its own but power over others' files: root's has it in any user namespace, as rootless engines make them, that has others.
    public static let availableForFiles = findForFiles()

    private static func find() -> Identity {
        // The first namespace's map: everybody is themselves.
        geteuid() == 0 && map() == ["0", "0", "4294967295"] ? .fresh : .caller
    }

    private static func findForFiles() -> Identity {
        // Three numbers a line, the last one how many.
        let fields = map()
        let users = stride(from: 2, to: fields.count, by: 3).reduce(0) { $0 + (UInt64(fields[$1]) ?? 0) }
        return geteuid() == 0 && users > 1 ? .fresh : .caller
    }

    private static func map() -> [String] {
        guard let file = try? OwnedDescriptor.open("/proc/self/uid_map", O_RDONLY), let bytes = try? readAll(file.raw, limit: 65536) else {
            return []
        }
        return String(decoding: bytes, as: UTF8.self).split(whereSeparator: { $0 == " " || $0 == "\n" }).map(String.init)
    }

    /// This process's id in the pid namespace that /proc shows: the outer one, as long as /proc is the outer one's.
    static func outerProcess() throws(SystemError) -> UInt32 {
        var digits = [UInt8](repeating: 0, count: 16)
        let count = try systemCall("readlink", on: "/proc/self") {
            // SAFETY: the kernel writes at most `count` bytes into the array during the call.
            unsafe digits.withUnsafeMutableBytes { buffer in
                guard let base = buffer.baseAddress else { return 0 }
                return unsafe readlink("/proc/self", base.assumingMemoryBound(to: CChar.self), buffer.count)
            }
        }
        guard let number = UInt32(String(decoding: digits[..<count], as: UTF8.self)), number < users else {
            throw SystemError(call: "readlink", subject: "/proc/self", errno: ERANGE)
        }
        return number
    }
}
