// setrlimit(2): never more than the process was given.
import Glibc
import LinuxSystem

func setLimit(_ resource: Int32, _ value: UInt64) throws(SystemError) {
    var limit = rlimit()
    // SAFETY: getrlimit writes one rlimit.
    try systemCall("getrlimit") { unsafe getrlimit(resource, &limit) }
    let value = min(value, UInt64(limit.rlim_max))
    limit = rlimit(rlim_cur: rlim_t(value), rlim_max: rlim_t(value))
    // SAFETY: setrlimit reads one rlimit.
    try systemCall("setrlimit") { unsafe setrlimit(resource, &limit) }
}
