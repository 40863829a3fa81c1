// How many descriptors this process may have.
import CLinux
import Glibc

/// Raises the soft limit (setrlimit(2)) to the hard one, which children inherit. For work with as many files as somebody else says; not for programs that use select(2).
public func raiseOpenFileLimit() throws(SystemError) {
    let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    var limit = rlimit()
    // SAFETY: the calls fill and read a local value.
    _ = try systemCall("getrlimit") { unsafe getrlimit(resource, &limit) }
    limit.rlim_cur = limit.rlim_max
    // SAFETY: as above.
    _ = try systemCall("setrlimit") { unsafe setrlimit(resource, &limit) }
}
