// Landlock (landlock(7)): a second wall before files and sockets by name, where the kernel has it.
import CJail
import LinuxSystem

enum Landlock {
    static func restrict() throws(SystemError) {
        let version = cjail_landlock_version()
        // Not built in, or not switched on: the empty root stands alone.
        if version < 1 { return }
        try systemCall("landlock_restrict_self") { cjail_landlock_restrict(version) }
    }
}
