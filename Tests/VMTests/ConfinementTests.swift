// How a container is confined inside its guest: its seccomp filter, its devices, its capabilities, its control group.
import Foundation
import Testing

extension VirtualMachines {
    @Suite struct Confinement {
        let swiftlet: Swiftlet

        init() throws { swiftlet = try Swiftlet() }

        /// As root with Docker's capabilities, and even as root with all of them where no capability decides.
        @Test func blockedCalls() throws {
            let refused = "Operation not permitted"
            let missing = "Function not implemented"
            let always = [
                "add_key: \(refused)", "keyctl: \(refused)", "request_key: \(refused)", "io_uring_setup: \(refused)", "userfaultfd: \(refused)",
                "kexec_load: \(refused)",
            ]
            let outcome = try swiftlet.run([], ["/bin/probe", "calls"])
            #expect(
                outcome.lines == always + [
                    "bpf: \(refused)", "perf_event_open: \(refused)", "open_by_handle_at: \(refused)", "mount: \(refused)", "setns: \(refused)",
                    "unshare: \(refused)", "clone namespaces: \(refused)", "clone3: \(missing)", "vsock: \(refused)", "personality: \(refused)",
                    "later: \(missing)",
                ], "\(outcome)")
            let able = try swiftlet.run(["--cap-add", "ALL"], ["/bin/probe", "calls"])
            #expect(Array(able.lines.prefix(always.count)) == always, "\(able)")
            for line in ["setns: Bad file descriptor", "mount: Bad address", "vsock: \(refused)", "personality: \(refused)", "later: \(missing)"] {
                #expect(able.lines.contains(line), "\(line): \(able)")
            }
        }

        /// The image's disk is the machine's first.
        @Test func theDiskCannotBeOpened() throws {
            let script = """
                n=$(cut -d: -f2 /sys/block/vda/dev); m=$(cut -d: -f1 /sys/block/vda/dev)
                mknod /srv/disk b $m $n && mknod /srv/memory c 1 1 && mknod /srv/port c 1 4 && mknod /srv/log c 1 11 && mknod /srv/zero c 1 5 && mknod /srv/vsock c 10 122
                for d in disk memory port log vsock zero; do /bin/probe device /srv/$d; done
                chmod 666 /srv/disk; dd if=/dev/zero of=/srv/disk count=1 2>&1 | grep -c 'not permitted'
                """
            let refused = "Operation not permitted"
            for options in [[], ["--cap-add", "ALL", "--security-opt", "seccomp=unconfined"]] {
                let outcome = try swiftlet.shell(options, script)
                #expect(
                    outcome.lines == [
                        "/srv/disk: \(refused)", "/srv/memory: \(refused)", "/srv/port: \(refused)", "/srv/log: \(refused)", "/srv/vsock: \(refused)",
                        "/srv/zero: read", "1",
                    ], "\(outcome)")
            }
        }

        private static let status =
            "grep -E '^(Cap(Prm|Eff|Bnd|Amb)|NoNewPrivs|Seccomp):' /proc/self/status | tr -s '\\t\\n' '  '; echo"

        @Test(arguments: [
            ([], "CapPrm: 00000000a80425fb CapEff: 00000000a80425fb CapBnd: 00000000a80425fb CapAmb: 0000000000000000 NoNewPrivs: 0 Seccomp: 2 \n"),
            (
                ["--cap-drop", "ALL", "--cap-add=CHOWN"],
                "CapPrm: 0000000000000001 CapEff: 0000000000000001 CapBnd: 0000000000000001 CapAmb: 0000000000000000 NoNewPrivs: 0 Seccomp: 2 \n"
            ),
            (
                ["--cap-add", "CAP_NET_ADMIN", "--cap-add", "sys_admin", "--cap-drop=MKNOD"],
                "CapPrm: 00000000a02435fb CapEff: 00000000a02435fb CapBnd: 00000000a02435fb CapAmb: 0000000000000000 NoNewPrivs: 0 Seccomp: 2 \n"
            ),
            // Bounded like root's, but a user has none.
            (
                ["-u", "alice", "--cap-add", "NET_ADMIN"],
                "CapPrm: 0000000000000000 CapEff: 0000000000000000 CapBnd: 00000000a80435fb CapAmb: 0000000000000000 NoNewPrivs: 0 Seccomp: 2 \n"
            ),
            (
                ["-u", "1000", "--security-opt", "no-new-privileges", "--security-opt=seccomp=unconfined"],
                "CapPrm: 0000000000000000 CapEff: 0000000000000000 CapBnd: 00000000a80425fb CapAmb: 0000000000000000 NoNewPrivs: 1 Seccomp: 0 \n"
            ),
            (
                ["--privileged", "--security-opt", "no-new-privileges=true"],
                "CapPrm: 000001ffffffffff CapEff: 000001ffffffffff CapBnd: 000001ffffffffff CapAmb: 0000000000000000 NoNewPrivs: 1 Seccomp: 0 \n"
            ),
        ])
        func privileges(options: [String], expected: String) throws { expectOutput(try swiftlet.shell(options, Self.status), expected) }

        @Test func setUserIDsStopAtNoNewPrivileges() throws {
            let script = "cp /bin/probe /srv/raised && chmod 4755 /srv/raised && su -s /bin/sh alice -c '/srv/raised identity'"
            expectOutput(try swiftlet.shell([], script), "user 1234 effective 0 no new privileges 0 seccomp 2\n")
            expectOutput(
                try swiftlet.shell(["--security-opt", "no-new-privileges"], script), "user 1234 effective 1234 no new privileges 1 seccomp 2\n")
        }

        @Test func privileged() throws {
            let script = """
                mkdir /m; mount -t tmpfs x /m && echo mounted; unshare -m true && echo unshared; hostname other && hostname
                dd if=/dev/vda of=/dev/null count=1 2>/dev/null && echo read; mkdir /sys/fs/cgroup/inner && echo grouped
                echo 123456 >/proc/sys/fs/file-max && echo tuned; head -c 1 /proc/timer_list >/dev/null && echo unmasked
                ls /dev | grep -cE '^(null|zero|full|random|urandom|tty|fd|stdin|ptmx|pts|shm|kmsg|vda)$'; /bin/probe device /dev/zero
                """
            expectOutput(
                try swiftlet.shell(["--privileged"], script),
                "mounted\nunshared\nother\nread\ngrouped\ntuned\nunmasked\n13\n/dev/zero: read\n")
        }

        @Test func systemPathsMayBeExposed() throws {
            let script = """
                echo 123456 >/proc/sys/fs/file-max && echo tuned; head -c 1 /proc/timer_list >/dev/null && echo unmasked; mkdir /sys/fs/cgroup/x
                """
            let outcome = try swiftlet.shell(["--security-opt", "systempaths=unconfined"], script)
            #expect(outcome.text == "tuned\nunmasked\n" && outcome.errorText.contains("Read-only"), "\(outcome)")
        }

        @Test func processLimit() throws {
            let outcome = try swiftlet.shell(["--pids-limit", "20"], "cat /sys/fs/cgroup/pids.max; exec /bin/probe fill")
            expectOutput(outcome, "20\n19 processes, then Resource temporarily unavailable\n")
            expectOutput(try swiftlet.shell(["--pids-limit=-1"], "cat /sys/fs/cgroup/pids.max"), "max\n")
        }

        /// The container sees its own control group alone, and can't leave it.
        @Test func ownControlGroup() throws {
            expectOutput(
                try swiftlet.shell([], "cat /proc/self/cgroup; head -n 1 /sys/fs/cgroup/cgroup.procs; test -e /sys/fs/cgroup/pids.max && echo mine"),
                "0::/\n1\nmine\n")
        }

        @Test func customProfiles() throws {
            let readOnly = try swiftlet.directory.file(
                "read-only.json",
                #"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 30}]}"#)
            let outcome = try swiftlet.shell(["--security-opt", "seccomp=\(readOnly)"], "mkdir /srv/x; unshare -U true && echo unshared")
            #expect(outcome.text == "unshared\n" && outcome.errorText.contains("Read-only file system"), "\(outcome)")
            // What installs the filter and drops privileges on the way to execve is the agent's own affair.
            let few = try swiftlet.directory.file(
                "few.json",
                #"""
                {"defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": [{"action": "SCMP_ACT_ALLOW", "names": ["execve", "arch_prctl", "set_tid_address",
                 "set_robust_list", "rseq", "prlimit64", "readlink", "readlinkat", "getrandom", "brk", "mprotect", "mmap", "munmap", "prctl", "ioctl", "fstat",
                 "newfstatat", "write", "writev", "rt_sigaction", "getuid", "geteuid", "setuid", "getgid", "setgid", "exit_group"]}]}
                """#)
            for user in ["root", "alice"] {
                expectOutput(try swiftlet.run(["-u", user, "--security-opt", "seccomp=\(few)"], ["/bin/busybox", "echo", "alive"]), "alive\n")
                let killed = try swiftlet.run(["-u", user, "--security-opt", "seccomp=\(few)"], ["/bin/busybox", "sync"])
                #expect(killed.ending == .exited(159), "\(killed)")
            }
        }

        @Test func profilesThatCannotBeUsed() throws {
            func refusal(_ profile: String, _ words: [String]) throws {
                let file = try swiftlet.directory.file("profile.json", profile)
                expectRefusal(try swiftlet.run(["--security-opt", "seccomp=\(file)"], ["/bin/true"]), naming: words)
            }
            try refusal("no JSON", ["profile.json", "not JSON"])
            try refusal(#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "ALLOW"}]}"#, ["syscalls[0].action"])
            try refusal(#"{"defaultAction": "SCMP_ACT_ERRNO"}"#, ["execve"])
            expectRefusal(
                try swiftlet.run(["--security-opt", "seccomp=/does/not/exist"], ["/bin/true"]), naming: ["/does/not/exist", "--security-opt"])
        }
    }
}
