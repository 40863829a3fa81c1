// The jail around the VMM: what a running one is, and what a thread of it that has been taken over can do (docs/adr/0013).
import Foundation
import Glibc
import Testing

extension VirtualMachines {
    @Suite struct Jails {
        let swiftlet: Swiftlet

        init() throws { swiftlet = try Swiftlet() }

        /// A container that is there, with the VMM's process.
        private func withMachine(_ options: [String] = [], _ body: (TestProcess, VMMState) throws -> Void) throws {
            let process = try swiftlet.start(["run", "-i"] + options + [Project.busybox, "/bin/sh", "-c", "echo up; read line; echo $line"])
            defer { process.signal(SIGKILL) }
            #expect(process.sees("up\n", within: 150))
            try body(process, try VMMState(childOf: process.pid))
            process.send("over\n")
            let outcome = process.finish(within: 60)
            #expect(outcome.ending == .exited(0) && outcome.text == "up\nover\n" && outcome.errorText == "", "\(outcome)")
        }

        @Test func everyThreadIsConfined() throws {
            try withMachine { _, machine in
                #expect(machine.threads.count >= 4, "main, a vCPU, three streams: \(machine.threads)")
                for thread in machine.threads {
                    let status = VMMState.status("/proc/\(machine.pid)/task/\(thread)/status")
                    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] { #expect(status[set] == "0000000000000000", "\(thread) \(set)") }
                    #expect(status["NoNewPrivs"] == "1")
                    #expect(status["Seccomp"] == "2" && status["Seccomp_filters"] == "1", "\(thread): \(status)")
                    if Project.isRoot {
                        let user = String(0x7000_0000 + machine.pid)
                        #expect(status["Uid"] == [user, user, user, user].joined(separator: "\t"))
                        #expect(status["Gid"] == [user, user, user, user].joined(separator: "\t"))
                        #expect(status["Groups"] == "")
                    }
                }
            }
        }

        @Test func namespacesAreItsOwn() throws {
            try withMachine { process, machine in
                for name in ["mnt", "pid", "ipc", "uts", "net", "cgroup"] {
                    let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/\(name)")
                    let its = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(machine.pid)/ns/\(name)")
                    #expect(own != its, "\(name)")
                }
                // It is the first process there, and in a session of its own.
                #expect(machine.status["NSpid"]?.split(separator: "\t").last == "1")
                #expect(getsid(machine.pid) == machine.pid)
            }
        }

        @Test func itSeesNoFileAndHasNoEnvironment() throws {
            try withMachine { _, machine in
                #expect(try FileManager.default.contentsOfDirectory(atPath: "/proc/\(machine.pid)/root/") == [])
                #expect(try String(contentsOfFile: "/proc/\(machine.pid)/environ", encoding: .utf8) == "")
                let files = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(machine.pid)/fd").compactMap {
                    try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(machine.pid)/fd/\($0)")
                }
                // The machine and its CPU, but not the device that makes more of them.
                #expect(files.contains("anon_inode:kvm-vm") && files.contains { $0.hasPrefix("anon_inode:kvm-vcpu") })
                #expect(!files.contains("/dev/kvm"))
                let expected = ["/vmlinux", "/initrd", ".map", ".blocks", "anon_inode:", "socket:", "pipe:", "/dev/null"]
                for file in files { #expect(expected.contains { file.hasSuffix($0) || file.hasPrefix($0) }, "\(file)") }
            }
        }

        @Test func resourcesAreLimited() throws {
            try withMachine(["--memory", "128m"]) { _, machine in
                let limits = try String(contentsOfFile: "/proc/\(machine.pid)/limits", encoding: .utf8).split(separator: "\n")
                func limit(_ name: String) -> [Substring] {
                    limits.first { $0.hasPrefix(name) }?.dropFirst(name.count).split(separator: " ").prefix(2).map { $0 } ?? []
                }
                #expect(limit("Max processes") == ["0", "0"])
                #expect(limit("Max core file size") == ["0", "0"])
                #expect(limit("Max locked memory") == ["0", "0"])
                #expect(limit("Max file size") == ["0", "0"])
                #expect(limit("Max data size") == ["\(256 << 20)", "\(256 << 20)"])
                #expect((Int(limit("Max open files").first ?? "") ?? .max) < 256)
            }
        }

        @Test(.enabled(if: Project.isRoot, "only root's machines have cgroups"))
        func theCgroupHoldsWhatWasAskedFor() throws {
            try withMachine(["--memory", "128m", "--cpus", "1.5", "--cpu-shares", "2048", "--cgroup-parent", "/swiftlet/test"]) { _, machine in
                let path = try #require(machine.cgroup)
                #expect(path.hasPrefix("/swiftlet/test/vm-"))
                func value(_ name: String) -> String {
                    ((try? String(contentsOfFile: "/sys/fs/cgroup\(path)/\(name)", encoding: .utf8)) ?? "").trimmingCharacters(in: .newlines)
                }
                #expect(value("memory.max") == "\((128 << 20) + (2 << 20) + (64 << 20))")
                #expect(value("cpu.max") == "150000 100000")
                #expect(value("pids.max") == "18")
                #expect(value("cpu.weight") == "79")
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: "/sys/fs/cgroup/swiftlet/test").allSatisfy { !$0.hasPrefix("vm-") })
            try withMachine(["--cgroups=disabled"]) { _, machine in #expect(machine.cgroup?.contains("swiftlet") == false) }
        }

        /// Whatever kills `swiftlet` kills its machine, and the next one takes away the cgroup.
        @Test func theMachineDiesWithItsParent() throws {
            let process = try swiftlet.start(["run", Project.busybox, "/bin/sh", "-c", "echo up; sleep 1000"])
            #expect(process.sees("up\n", within: 150))
            let machine = try VMMState(childOf: process.pid)
            process.signal(SIGKILL)
            #expect(process.finish(within: 10).ending == .signalled(SIGKILL))
            #expect(VMMState.waitForEnd(of: machine.pid))
            _ = try swiftlet.start(["run", Project.busybox, "/bin/true"], .noInput).finish()
            #expect(Leftovers.now(besides: swiftlet.directory.path).cgroups == [])
        }

        /// Whoever has /dev/kvm needs no other right.
        @Test(.enabled(if: Project.isRoot, "only root can become another user"))
        func anOrdinaryUserNeedsKVMAlone() throws {
            let copy = try Installation(in: swiftlet.directory)
            try FileManager.default.copyItem(atPath: Project.basic("busybox.oci.tar"), toPath: swiftlet.directory.path + "/image.tar")
            let kvm = try FileManager.default.attributesOfItem(atPath: "/dev/kvm")[.groupOwnerAccountID] as? Int ?? 0
            let store = swiftlet.directory.path + "/store"
            let script = """
                install -d -o 65534 \(store) && cd / && exec setpriv --reuid=65534 --regid=65534 --groups=\(kvm) --bounding-set=-all --no-new-privs \
                \(copy.program) run \(swiftlet.directory.path)/image.tar /bin/echo rootless
                """
            var environment = swiftlet.environment
            environment["SWIFTLET_STORE"] = store
            // The group may use it, as on a machine with udev.
            try FileManager.default.setAttributes([.posixPermissions: 0o660], ofItemAtPath: "/dev/kvm")
            let outcome = try TestProcess(["/bin/sh", "-c", script], environment: environment, .noInput).finish()
            expectOutput(outcome, "rootless\n")
        }

        @Test(.enabled(if: Project.isRoot, "only root can forbid namespaces"))
        func withoutNamespacesNothingRuns() throws {
            let command =
                "echo 0 > /proc/sys/user/max_net_namespaces; \(Project.program) run \(Project.busybox) /bin/true; status=$?; "
                + "echo 1000 > /proc/sys/user/max_net_namespaces; exit $status"
            expectRefusal(
                try TestProcess(["/bin/sh", "-c", command], environment: swiftlet.environment, .noInput).finish(),
                naming: ["namespaces", "max_user_namespaces"])
        }

        @Test func damagedFiltersAreRefused() throws {
            let copy = try Installation(in: swiftlet.directory)
            try Data("no filters".utf8).write(to: URL(filePath: copy.path + "/share/swiftlet/filters"))
            let outcome = try TestProcess([copy.program, "run", Project.busybox, "/bin/true"], environment: swiftlet.environment, .noInput).finish()
            expectRefusal(outcome, naming: ["seccomp filters", "nstall"])
        }
    }
}

/// A VMM's process, from outside.
struct VMMState {
    let pid: Int32

    init(childOf parent: Int32) throws {
        let children = try String(contentsOfFile: "/proc/\(parent)/task/\(parent)/children", encoding: .utf8)
        guard let pid = children.split(separator: " ").compactMap({ Int32($0) }).first else { throw TestError("the VMM") }
        self.pid = pid
    }

    var threads: [String] { (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")) ?? [] }
    var status: [String: String] { Self.status("/proc/\(pid)/status") }
    var cgroup: String? {
        (try? String(contentsOfFile: "/proc/\(pid)/cgroup", encoding: .utf8))?.split(separator: "\n").first { $0.hasPrefix("0::") }.map {
            String($0.dropFirst(3))
        }
    }

    static func status(_ path: String) -> [String: String] {
        var fields: [String: String] = [:]
        for line in ((try? String(contentsOfFile: path, encoding: .utf8)) ?? "").split(separator: "\n") {
            guard let colon = line.firstIndex(of: ":") else { continue }
            fields[String(line[..<colon])] = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
        }
        return fields
    }

    /// False if it is still there after ten seconds.
    static func waitForEnd(of pid: Int32) -> Bool {
        for _ in 0..<1000 {
            if kill(pid, 0) != 0 { return true }
            usleep(10_000)
        }
        return false
    }
}
