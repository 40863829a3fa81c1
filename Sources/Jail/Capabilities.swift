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

    /// What whoever starts the file server can give away: files to any user, with any mode.
    private static let forFiles = [CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_MKNOD, CAP_SETFCAP, CAP_SETUID, CAP_SETGID]

    /// These alone are left, in the sets that count for this process; none comes back by executing a program, and none goes by acting as another user.
    static func keepForFiles() throws(SystemError) {
        for capability in 0...CAP_LAST_CAP where cap_get_bound(cap_value_t(capability)) == 1 {
            try systemCall("cap_drop_bound") { cap_drop_bound(cap_value_t(capability)) }
        }
        try systemCall("cap_reset_ambient") { cap_reset_ambient() }
        try systemCall("prctl PR_SET_SECUREBITS") { cjail_lock_secure_bits() }
        try systemCall("prctl PR_SET_NO_NEW_PRIVS") { cjail_forbid_privileges() }
        let kept = forFiles.map { cap_value_t($0) }
        // SAFETY: the set is freed after its last use; the calls read as many values as the array has.
        guard let set = unsafe cap_init() else { throw SystemError(call: "cap_init", errno: ENOMEM) }
        defer { unsafe cap_free(UnsafeMutableRawPointer(set)) }
        for flag in [CAP_PERMITTED, CAP_EFFECTIVE] {
            try systemCall("cap_set_flag") {
                unsafe kept.withUnsafeBufferPointer { unsafe cap_set_flag(set, flag, Int32($0.count), $0.baseAddress, CAP_SET) }
            }
        }
        try systemCall("cap_set_proc") { unsafe cap_set_proc(set) }
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
