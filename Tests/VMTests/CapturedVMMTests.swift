// A captured VMM: what a thread of it can do to the host (Tests/Support/CAttacks, Tests/Support/CapturedVMM), once with all walls, and once with those behind the filters.
import Foundation
import Glibc
import Testing

extension VirtualMachines {
    @Suite(.enabled(if: Project.isRoot, "the errors of an ordinary user's VMM differ")) struct CapturedVMM {
        let swiftlet: Swiftlet

        init() throws { swiftlet = try Swiftlet() }

        /// What each attack asks the kernel for first, and what else stops it: the errors that the walls behind the filters give.
        static let attacks: [(name: String, call: String, errors: Set<String>, wall: String)] = [
            ("open-host-file", "openat", ["ENOENT", "EACCES"], "the empty root, Landlock"),
            ("climb-out", "openat", ["ENOENT", "EACCES"], "the empty root, Landlock"),
            ("list-root", "openat", ["ENOENT", "EACCES"], "the empty root, Landlock"),
            ("create-file", "openat", ["EROFS", "EACCES"], "the read-only root, Landlock"),
            ("see-processes", "openat", ["ENOENT", "EACCES"], "the empty root"),
            ("signal-everybody", "kill", ["ESRCH"], "the pid namespace"),
            ("signal-parent", "getppid", ["ESRCH"], "the pid namespace"),
            ("trace-parent", "getppid", ["ESRCH", "EPERM"], "the pid namespace"),
            ("reach-loopback", "socket", ["ENETUNREACH", "EACCES"], "the network namespace"),
            ("reach-abstract-socket", "socket", ["ECONNREFUSED", "EPERM"], "the network namespace"),
            ("fork", "fork", ["EAGAIN"], "RLIMIT_NPROC"),
            ("make-thread", "clone", ["EAGAIN"], "RLIMIT_NPROC"),
            ("execute", "execve", ["ENOENT", "EACCES"], "the empty root, Landlock"),
            ("mount", "mount", ["EPERM"], "no capabilities"),
            ("become-root", "setresuid", ["EPERM"], "no capabilities"),
            ("open-kvm", "openat", ["ENOENT", "EACCES"], "the empty root"),
            ("second-machine", "ioctl", ["EBADF", "EINVAL", "EPERM", "EIO"], "/dev/kvm is closed"),
            ("executable-memory", "mmap", [], "the filter alone"),
            ("fill-disk", "pwrite64", ["EBADF", "EFBIG"], "RLIMIT_FSIZE"),
            ("fill-descriptors", "dup", ["EMFILE"], "RLIMIT_NOFILE"),
            ("raise-limit", "prlimit64", ["EPERM"], "no capabilities"),
            ("new-network", "unshare", ["EPERM"], "no capabilities"),
            ("type-into-terminal", "ioctl", ["ENOTTY", "EPERM", "EIO"], "a session without a terminal"),
            ("load-program", "bpf", ["EPERM", "EINVAL", "E2BIG"], "no capabilities"),
            ("add-key", "add_key", [], "the filter alone"),
            ("fill-memory", "mmap", ["ENOMEM"], "RLIMIT_DATA, the cgroup"),
        ]

        /// The installed VMM is one whose traitor does this.
        private func run(_ attack: String, as kind: String, allowing: Bool = false) throws -> Outcome {
            let prefix = swiftlet.directory.path + "/\(attack)@\(kind)"
            defer { try? FileManager.default.removeItem(atPath: prefix) }
            let files = FileManager.default
            for directory in ["/bin", "/share/swiftlet"] { try files.createDirectory(atPath: prefix + directory, withIntermediateDirectories: true) }
            // Where the program lies, its VMM is.
            try files.copyItem(atPath: Project.program, toPath: prefix + "/bin/swiftlet")
            let own = try files.destinationOfSymbolicLink(atPath: "/proc/self/exe")
            try files.createSymbolicLink(
                atPath: prefix + "/bin/swiftlet-vmm", withDestinationPath: (own as NSString).deletingLastPathComponent + "/captured-vmm")
            for name in try files.contentsOfDirectory(atPath: Project.share) where name != "filters" || !allowing {
                try files.createSymbolicLink(atPath: prefix + "/share/swiftlet/" + name, withDestinationPath: Project.share + "/" + name)
            }
            if allowing { try Data(Self.everythingAllowed).write(to: URL(filePath: prefix + "/share/swiftlet/filters")) }
            let process = try TestProcess(
                [prefix + "/bin/swiftlet", "run", "-i", "--storage-size=16m", Project.busybox, "/bin/cat"], environment: swiftlet.environment, .pipes)
            // Else the machine has ended.
            if process.complains("attacks ended\n") { process.closeInput() }
            return process.finish()
        }

        /// Filters in the form that FilterSet has, one for each of six kinds, each of one instruction: BPF_RET | BPF_K with SECCOMP_RET_ALLOW.
        private static let everythingAllowed: [UInt8] =
            [1, 0, 0, 0, 6, 0, 0, 0] + Array(repeatElement([8, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0xFF, 0x7F], count: 6).joined()) + [0, 0, 0, 0]

        /// Every kind of thread has such a filter; the one that the guest is nearest to is tried with everything.
        @Test(arguments: [
            ("vcpu", attacks.map(\.name).filter { $0 != "fill-memory" }), ("main", ["open-host-file", "execute", "make-thread"]),
            ("stream", ["reach-loopback", "fork", "fill-disk"]), ("block", ["open-kvm", "executable-memory", "signal-parent"]),
            ("files", ["open-host-file", "reach-loopback", "make-thread"]),
            // Of the file server's process; its filter, here in the VMM's.
            ("fileServer", ["reach-abstract-socket", "fork", "execute", "mount", "executable-memory", "signal-everybody", "new-network"]),
        ])
        func everyAttackEndsAtTheFilter(kind: String, names: [String]) throws {
            let thread = kind == "fileServer" ? "file server" : kind
            for attack in Self.attacks where names.contains(attack.name) {
                let outcome = try run(attack.name, as: kind)
                #expect(outcome.ending == .exited(125), "\(attack.name) as \(kind): \(outcome)")
                #expect(
                    outcome.errorText.hasPrefix("swiftlet: thread '\(thread)' of the VMM made the system call \(attack.call) ("),
                    "\(attack.name): \(outcome)")
                #expect(outcome.errorText.contains("at 0x") && !outcome.errorText.contains("SUCCEEDED"), "\(attack.name): \(outcome)")
            }
        }

        @Test func behindTheFiltersAreOtherWalls() throws {
            let listener = try AbstractListener("swiftlet-jail-test")
            let outcome = try run("all", as: "main", allowing: true)
            // The machine does its work as if nothing had happened.
            #expect(outcome.ending == .exited(0) && outcome.errorText.hasSuffix("attacks ended\n"), "\(outcome)")
            for attack in Self.attacks {
                let line = outcome.errorText.split(separator: "\n").first { $0.hasPrefix("attack \(attack.name): ") } ?? ""
                let result = String(line.split(separator: " ").last ?? "")
                if attack.errors.isEmpty {
                    // Known to need the filter: neither gives the host away.
                    #expect(result == "SUCCEEDED", "\(attack.name) has another wall by now: say so")
                } else {
                    #expect(attack.errors.contains(result), "\(attack.name), which \(attack.wall) should stop: \(line)")
                }
            }
            withExtendedLifetime(listener) {}
        }
    }
}

/// A socket that a process outside of the jail can reach.
private final class AbstractListener {
    private let descriptor: Int32

    init(_ name: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let path = [0] + Array(name.utf8)
        // SAFETY: the name is shorter than sun_path, and bind reads no more than the length says.
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + path.count)
        let bound = unsafe withUnsafePointer(to: &address) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe bind(descriptor, $0, length) }
        }
        guard bound == 0, listen(descriptor, 1) == 0 else { throw TestError("bind") }
    }

    deinit { close(descriptor) }
}
