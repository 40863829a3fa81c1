// Giving up identity and power (capabilities(7), libcap).
import CCap
import CJail
import CLinux
import Glibc
import LinuxSystem

enum Capabilities {
    /// User and group `id` and no other group, with the capabilities kept for `drop`.
    static func become(_ id: UInt32) throws(SystemError) {
        try systemCall("prctl PR_SET_KEEPCAPS") { cjail_keep_capabilities() }
        try systemCall("setresuid", on: "\(id)") { cjail_become(id, id) }
    }

    /// No capability is left in any set, the bounding and the ambient one included; no program brings one back (no_new_privs, locked secure bits).
    static func drop() throws(SystemError) {
        try systemCall("cap_set_mode") { cap_set_mode(CAP_MODE_NOPRIV) }
        // libcap sets the mode without looking whether the bounding set obeyed.
        guard cap_get_mode() == CAP_MODE_NOPRIV else { throw SystemError(call: "cap_get_mode", errno: EPERM) }
        // Part of the mode, but what the filters depend on is asked for by its name.
        try systemCall("prctl PR_SET_NO_NEW_PRIVS") { cjail_forbid_privileges() }
    }
}
