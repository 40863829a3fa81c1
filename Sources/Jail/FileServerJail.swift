// The jail around the file server (docs/adr/0016). It differs from the VMM's in what it is for: there are the host's trees in it, and root's keeps the power to give files
// to their owners.
import CCap
import CJail
import CLinux
import Glibc
public import LinuxSystem

extension Jail {
    /// A directory or a file of the host, opened by whoever asked for it.
    public struct TreeSource: Sendable {
        public let descriptor: Int32
        public let isReadOnly: Bool

        public init(descriptor: Int32, isReadOnly: Bool) {
            self.descriptor = descriptor
            self.isReadOnly = isReadOnly
        }
    }

    /// As `enter`, but for the parent's death: the process ends with the VMM that it serves. Returns what is left of the host: the trees, in their order, each a mount of its own out of which no name leads. The working directory is where the
    /// process's own descriptors have names.
    public static func enterAsFileServer(
        _ sources: [TreeSource], as identity: Identity, lifeline: borrowing OwnedDescriptor
    ) throws(JailError) -> [SharedDescriptor] {
        let parent = lifeline.raw
        // As long as they are this namespace's: afterwards they would be told from another root.
        let paths = try step("find the host's trees (is /proc mounted?)") { () throws(SystemError) in
            var paths: [[UInt8]] = []
            for source in sources { paths.append(try MountTree.path(of: source.descriptor)) }
            return paths
        }
        if hasWalls {
            do throws(SystemError) { try leaveNamespaces(parent) } catch { throw .namespaces(error) }
        } else {
            try step("tell its network") { () throws(SystemError) in try sendNetwork(over: parent) }
        }
        let trees = try step("take the host's trees along") { () throws(SystemError) in
            // Before anything else: nothing done here is seen outside.
            try MountTree.becomePrivate()
            var trees: [SharedDescriptor] = []
            for (source, path) in zip(sources, paths) { trees.append(SharedDescriptor(try MountTree.copy(of: source, at: path))) }
            return trees
        }
        try step("enter a directory of its own descriptors (is /proc mounted whole?)") { () throws(SystemError) in
            let descriptors = try MountTree.ownDescriptors()
            if hasWalls { try MountTree.enterEmptyRoot() }
            let raw = descriptors.raw
            try systemCall("fchdir") { fchdir(raw) }
        }
        if hasWalls {
            try step("keep what it needs for others' files alone") { () throws(SystemError) in
                try raiseDescriptorLimit()
                try Capabilities.keepForFiles()
            }
            try step("hide its memory") { () throws(SystemError) in
                try systemCall("prctl PR_SET_DUMPABLE") { cjail_forbid_dumps() }
                for limit in [Int32(RLIMIT_CORE.rawValue), Int32(__RLIMIT_NPROC.rawValue), Int32(__RLIMIT_MEMLOCK.rawValue)] {
                    try setLimit(limit, 0)
                }
                // A file that may not grow further is the guest's business.
                ignoreSignal(SIGXFSZ)
            }
        }
        return trees
    }

    /// No files, processes or sockets by name are opened from here on but below the trees.
    public static func lockFileServer(_ filters: FilterSet) throws(JailError) { try filters.install(.fileServer) }

    /// Each file that the guest knows is one. As many as the kernel lets root have, or what there may be.
    private static func raiseDescriptorLimit() throws(SystemError) {
        var limit = rlimit()
        // SAFETY: getrlimit writes one rlimit.
        try systemCall("getrlimit") { unsafe getrlimit(__rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue)), &limit) }
        let most = rlim_t(1 << 20)
        var wanted = rlimit(rlim_cur: most, rlim_max: most)
        // SAFETY: setrlimit reads one rlimit.
        if unsafe setrlimit(__rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue)), &wanted) == 0 { return }
        limit.rlim_cur = min(limit.rlim_max, most)
        // SAFETY: as above.
        try systemCall("setrlimit") { unsafe setrlimit(__rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue)), &limit) }
    }

    /// How many descriptors this process may have.
    public static func descriptorLimit() throws(SystemError) -> Int {
        var limit = rlimit()
        // SAFETY: getrlimit writes one rlimit.
        try systemCall("getrlimit") { unsafe getrlimit(__rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue)), &limit) }
        return Int(clamping: UInt64(limit.rlim_cur))
    }
}
