// The jail around the VMM (docs/adr/0013). It closes in two steps:
//
//   enter   first of all: no files, no capabilities, nobody's identity. What follows may read what a guest or an image has written.
//   lock    when all files are open and all threads there: no new ones, no more memory than planned, and only the system calls of a running machine.
//
// Before both, the process was born into a pid namespace of its own (`JailedProcess`).
import CJail
import Glibc
public import LinuxSystem

public enum Jail {
    /// The exit status after a violation: Swiftlet's own failure, as `docker run` has it.
    public static let failure: Int32 = 125

    /// False in one installation only, which `make bench` compares with to tell what the jail costs: its machines have no wall but KVM's.
    #if WITHOUT_JAIL
        static let hasWalls = false
    #else
        static let hasWalls = true
    #endif

    /// Everything but what the process holds open is gone afterwards. `lifeline`: one end of a pair of stream sockets; the parent keeps the other one, and never reads from it. `network`: a network namespace to be in; nil: one of its own.
    /// The process dies with its parent. Threads that are there already stay outside, and must have ended before anything is read that a guest or an image has written.
    public static func enter(as identity: Identity, lifeline: borrowing OwnedDescriptor, network: Int32? = nil) throws(JailError) {
        let parent = lifeline.raw
        guard hasWalls else {
            return try step("tie its life to its parent's") { () throws(SystemError) in
                try sendNetwork(over: parent)
                try bind(to: parent)
            }
        }
        let process: UInt32 =
            identity == .fresh ? try step("find out its process id (is /proc mounted?)") { () throws(SystemError) in try Identity.outerProcess() } : 0
        do throws(SystemError) { try leaveNamespaces(parent, network: network) } catch { throw .namespaces(error) }
        try step("enter an empty root directory") { () throws(SystemError) in try MountTree.enterEmptyRoot() }
        try step("become a user of its own") { () throws(SystemError) in
            if identity == .fresh { try Capabilities.become(Identity.firstUser + process) }
        }
        try step("drop its capabilities") { () throws(SystemError) in try Capabilities.drop() }
        try step("restrict itself by Landlock") { () throws(SystemError) in try Landlock.restrict() }
        try step("hide its memory") { () throws(SystemError) in
            try systemCall("prctl PR_SET_DUMPABLE") { cjail_forbid_dumps() }
            try setLimit(Int32(RLIMIT_CORE.rawValue), 0)
        }
        try step("tie its life to its parent's") { () throws(SystemError) in try bind(to: parent) }
    }

    /// What a locked process may still have.
    public struct Allowance: Sendable {
        /// The highest number that a descriptor may get, plus one.
        public var descriptors: UInt64
        /// Private writable memory in bytes, guest RAM included.
        public var memory: UInt64
        /// No file grows beyond this, in bytes; nil: as the caller has it.
        public var fileSize: UInt64?

        public init(descriptors: UInt64, memory: UInt64, fileSize: UInt64?) {
            self.descriptors = descriptors
            self.memory = memory
            self.fileSize = fileSize
        }
    }

    /// From here on this thread has its filter; other threads install theirs by `filters.install`.
    public static func lock(_ allowance: Allowance, _ filters: FilterSet) throws(JailError) {
        guard hasWalls else { return }
        try step("limit what it uses") { () throws(SystemError) in
            try setLimit(Int32(__RLIMIT_NPROC.rawValue), 0)
            try setLimit(Int32(RLIMIT_NOFILE.rawValue), allowance.descriptors)
            try setLimit(Int32(RLIMIT_DATA.rawValue), allowance.memory)
            try setLimit(Int32(__RLIMIT_MEMLOCK.rawValue), 0)
            // What a filter would catch anyway, told as EFBIG instead of by a signal.
            ignoreSignal(SIGXFSZ)
            if let fileSize = allowance.fileSize { try setLimit(Int32(RLIMIT_FSIZE.rawValue), fileSize) }
        }
        try step("keep its memory") { () throws(SystemError) in _ = try systemCall("mallopt") { cjail_keep_heaps() } }
        try step("wait for its threads") { () throws(SystemError) in try filters.waitForThreads() }
        try filters.install(.main)
    }

    /// The parent is handed the network namespace, so that it ends after the machine. To end one takes the kernel 12 ms, in which it makes everybody wait who waits as KVM
    /// does (RCU): the end of the machine would take half as long again.
    static func leaveNamespaces(_ lifeline: Int32, network: Int32? = nil) throws(SystemError) {
        try systemCall("unshare") { cjail_leave_namespaces(network ?? -1) }
        try sendNetwork(over: lifeline)
    }

    static func sendNetwork(over lifeline: Int32) throws(SystemError) {
        let network = try OwnedDescriptor.open("/proc/thread-self/ns/net", O_RDONLY)
        do throws(SystemError) {
            try DescriptorTransfer.send([network.raw], over: lifeline)
        } catch {
            if error.errno == EPIPE { orphaned() }
            throw error
        }
    }

    static func bind(to lifeline: Int32) throws(SystemError) {
        // The parent may have died before it was asked for; then its end is closed by now, whatever else has come from there.
        try systemCall("prctl PR_SET_PDEATHSIG") { cjail_die_with_parent() }
        var entry = pollfd(fd: lifeline, events: 0, revents: 0)
        // SAFETY: poll reads and writes one entry.
        try systemCall("poll") { unsafe poll(&entry, 1, 0) }
        if entry.revents & Int16(POLLHUP) != 0 { orphaned() }
    }

    /// Takes back what `bind` has done: from now on the parent's end changes nothing.
    public static func outliveParent() throws(JailError) {
        try step("live without its parent") { () throws(SystemError) in _ = try systemCall("prctl PR_SET_PDEATHSIG") { cjail_outlive_parent() } }
    }

    /// As if the parent's end had killed this process, which it is about to do.
    public static func orphaned() -> Never { _exit(128 + SIGKILL) }

    static func step<Value>(_ words: String, _ body: () throws(SystemError) -> Value) throws(JailError) -> Value {
        do throws(SystemError) { return try body() } catch { throw .step(words, error) }
    }
}
