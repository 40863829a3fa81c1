// What a process finds around it in the container: the image's configuration, mounts, namespaces, privileges, its files; and real programs.
import Foundation
import Testing

extension VirtualMachines {
    @Suite struct Containers {
        let swiftlet: Swiftlet
        private var configured: String { "oci:" + Project.basic("busybox") + ":configured" }

        init() throws { swiftlet = try Swiftlet() }

        @Test func imageConfiguration() throws {
            expectOutput(try swiftlet.run(image: configured, []), "[from the image]\n[second]\n")
            expectOutput(try swiftlet.run(image: configured, ["mine"]), "[mine]\n")
            let script =
                "pwd; stat -c %U:%G .; id -un; id -gn; echo $GREETING; echo \"${EMPTY-unset}$EMPTY\"; echo $HOME; cat /root/secret 2>&1; true"
            expectOutput(
                try swiftlet.run(["--entrypoint", "/bin/sh"], image: configured, ["-c", script]),
                "/made/by/run\nroot:root\nalice\nwheel\nhello there\n\n/home/alice\ncat: can't open '/root/secret': Permission denied\n")
            expectOutput(
                try swiftlet.run(["--entrypoint", "/bin/sh", "-u", "0", "-w", "/srv", "-e", "GREETING=bye"], image: configured, ["-c", script]),
                "/srv\nroot:root\nroot\nroot\nbye\n\n/root\nsecret\n")
        }

        @Test func imageWithEntrypointOnly() throws {
            let image = "oci:" + Project.basic("busybox") + ":entrypoint-only"
            expectOutput(try swiftlet.run(image: image, ["and", "words"]), "entry and words\n")
            expectOutput(try swiftlet.run(image: image, []), "entry\n")
        }

        @Test func stopSignalOfTheImage() throws {
            let process = try swiftlet.start(["run", "--entrypoint", "/bin/probe", configured, "signals"], .noInput)
            #expect(process.sees("ready\n"))
            process.signal(SIGTERM)
            #expect(process.sees("signal 10\n"))
            process.signal(SIGKILL)
            #expect(process.finish().ending == .signalled(SIGKILL))
        }

        /// One machine, many facts: each line is a name and what must be there.
        @Test func surroundings() throws {
            let facts: [(name: String, script: String, expected: String)] = [
                ("pid", "echo $$", "1"),
                ("first process", "tr '\\0' '\\n' </proc/1/cmdline | head -n 1", "/bin/sh"),
                ("root", "stat -c %a:%U /", "755:root"),
                ("umask", "umask", "0022"),
                ("proc", "grep -c '^proc /proc proc rw,nosuid,nodev,noexec,relatime' /proc/mounts", "1"),
                ("sys", "grep -c '^sysfs /sys sysfs ro,nosuid,nodev,noexec,relatime' /proc/mounts", "1"),
                ("cgroup", "grep -c '^cgroup[2]* /sys/fs/cgroup cgroup2 ro,nosuid,nodev,noexec,relatime' /proc/mounts", "1"),
                ("cgroup of the process", "cat /proc/self/cgroup", "0::/"),
                (
                    "controllers", "for c in cpu io memory pids; do grep -ow $c /sys/fs/cgroup/cgroup.controllers; done | tr '\\n' ' '",
                    "cpu io memory pids"
                ),
                ("dev", "grep ' /dev tmpfs rw,nosuid' /proc/mounts | grep -c mode=755", "1"),
                ("pts", "grep ' /dev/pts devpts rw,nosuid,noexec,relatime' /proc/mounts | grep -c 'gid=5,mode=620,ptmxmode=666'", "1"),
                ("shm", "grep -c ' /dev/shm tmpfs rw,nosuid,nodev,noexec,relatime' /proc/mounts; stat -c %a /dev/shm", "1 1777"),
                ("mqueue", "grep -c ' /dev/mqueue mqueue rw,nosuid,nodev,noexec,relatime' /proc/mounts", "1"),
                (
                    "nodes", "cd /dev; stat -c '%n:%F:%a:%t:%T' null zero full random urandom tty | tr ' \\n' '_ '",
                    "null:character_special_file:666:1:3 zero:character_special_file:666:1:5 full:character_special_file:666:1:7 "
                        + "random:character_special_file:666:1:8 urandom:character_special_file:666:1:9 tty:character_special_file:666:5:0"
                ),
                (
                    "links", "cd /dev; for l in fd stdin stdout stderr ptmx; do readlink $l; done | tr '\\n' ' '",
                    "/proc/self/fd /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 pts/ptmx"
                ),
                ("no other devices", "ls /dev | grep -E 'vd[a-z]|port|mem|kmsg|ttyS|hvc'", ""),
                ("working nodes", "echo x >/dev/null; head -c 4 /dev/zero | wc -c; head -c 9 /dev/urandom | wc -c; echo x >/dev/full", "4 9"),
                ("pseudo terminals", "( exec 3<>/dev/ptmx && ls /dev/pts )", "0 ptmx"),
                ("masked files", "cat /proc/kcore /proc/keys /proc/timer_list /proc/interrupts 2>/dev/null | wc -c", "0"),
                ("masked directories", "ls /proc/acpi /proc/scsi /sys/firmware 2>/dev/null | grep -v : | tr -d '\\n'", ""),
                ("read-only paths", "for f in /proc/sys/kernel/domainname /proc/sysrq-trigger; do echo b >$f && echo $f; done 2>/dev/null", ""),
                ("read-only sys", "mkdir /sys/fs/cgroup/x 2>/dev/null || echo refused", "refused"),
                (
                    "capabilities", "grep Cap /proc/self/status | tr -s '\\t\\n' '  '",
                    "CapInh: 0000000000000000 CapPrm: 00000000a80425fb CapEff: 00000000a80425fb CapBnd: 00000000a80425fb CapAmb: 0000000000000000"
                ),
                ("no new privileges", "grep NoNewPrivs /proc/self/status | tr -d '\\t'", "NoNewPrivs:0"),
                ("no mounting", "mount -t tmpfs x /mnt 2>/dev/null || mount -t tmpfs x /srv 2>/dev/null || echo refused", "refused"),
                ("no host name", "hostname other 2>/dev/null || echo refused", "refused"),
                ("session", "cut -d ' ' -f 6 /proc/1/stat", "1"),
                ("host name", "hostname; cat /etc/hostname; cat /proc/sys/kernel/hostname", "box box box"),
                ("hosts", "grep -w localhost /etc/hosts | head -n 1 | tr '\\t' ' '; grep -wc box /etc/hosts", "127.0.0.1 localhost 1"),
                ("resolver", "stat -c '%F %a' /etc/resolv.conf", "regular empty file 644"),
                (
                    "loopback", "ip addr show lo | grep -c 'inet 127.0.0.1/8'; ping -c 1 -W 2 127.0.0.1 | grep -o '1 packets received'",
                    "1 1 packets received"
                ),
                ("loopback 6", "ip addr show lo | grep -c 'inet6 ::1/128'", "1"),
                ("only loopback", "ls /sys/class/net | grep -v '^lo$'", ""),
                ("scheduling", "cut -d' ' -f19 /proc/self/stat", "0"),
                ("files", "ulimit -Sn; ulimit -Hn; ulimit -u", "1048576 1048576 unlimited"),
                ("clock", "[ $(date +%s) -gt 1700000000 ] && echo recent", "recent"),
                ("random", "cat /proc/sys/kernel/random/uuid | wc -c", "37"),
                ("writable root", "for d in / /etc /bin /tmp /var/empty; do touch $d/x && echo ok; done | uniq -c | tr -s ' '", "5 ok"),
            ]
            var script = ""
            for fact in facts { script += "echo '<\(fact.name)>'; ( \(fact.script) ) 2>/tmp/errors | tr '\\n' ' ' | sed 's/ *$//'; echo;\n" }
            let outcome = try swiftlet.shell(["--hostname", "box"], script)
            #expect(outcome.ending == .exited(0), "\(outcome)")
            let lines = outcome.lines
            for fact in facts {
                let found = lines.firstIndex(of: "<\(fact.name)>").flatMap {
                    $0 + 1 < lines.count ? lines[$0 + 1].trimmingCharacters(in: .whitespaces) : nil
                }
                #expect(found == fact.expected, "\(fact.name)")
            }
        }

        /// What a shell's own children would blur.
        @Test func firstProcessAlone() throws {
            let outcome = try swiftlet.run([], ["/bin/grep", "-E", "^(Name|Pid|PPid|NSpid|Sig(Blk|Ign|Cgt)|Threads):", "/proc/self/status"])
            #expect(
                outcome.lines.map { $0.replacing("\t", with: " ") } == [
                    "Name: grep", "Pid: 1", "PPid: 0", "NSpid: 1", "Threads: 1", "SigBlk: 0000000000000000", "SigIgn: 0000000000000000",
                    "SigCgt: 0000000000000000",
                ], "\(outcome)")
            expectOutput(try swiftlet.run([], ["/bin/ls", "/proc/self/fd"]), "0\n1\n2\n3\n")
            let limits = try swiftlet.run([], ["/bin/probe", "limits"])
            #expect(limits.lines.count == 16 && limits.lines.contains("7 1048576 1048576"), "\(limits)")
        }

        @Test func userIsNotPrivileged() throws {
            let outcome = try swiftlet.shell(
                ["-u", "alice"],
                "grep -E 'Cap(Prm|Eff|Bnd)' /proc/self/status | tr -s '\\t' ' '; touch /etc/x 2>&1; echo x >/tmp/x && echo wrote; kill -0 1 && echo own"
            )
            expectOutput(
                outcome,
                "CapPrm: 0000000000000000\nCapEff: 0000000000000000\nCapBnd: 00000000a80425fb\ntouch: /etc/x: Permission denied\nwrote\nown\n")
        }

        @Test func orphansAreReaped() throws {
            // A shell reaps what it inherits; a first process that reaps nothing leaves that to nobody but its own end.
            let count = "grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l"
            let script = "probe orphans 1000; i=0; while [ $(\(count)) != 0 ] && [ $i -lt 100 ]; do i=$((i + 1)); done; \(count); exit 3"
            let below = try swiftlet.shell([], script)
            #expect(below.ending == .exited(3) && below.lines == ["orphans 1000", "0"], "\(below)")
            expectOutput(try swiftlet.run([], ["/bin/probe", "orphans", "50"]), "orphans 50\n")
        }

        /// The kernel's killer takes the process; the machine and its exit status survive.
        @Test func memoryRunsOut() throws {
            let outcome = try swiftlet.shell(["--memory", "128m"], "probe eat; echo status $?; exit 8")
            #expect(outcome.ending == .exited(8) && outcome.text == "status 137\n", "\(outcome)")
        }

        @Test(arguments: ["debian-gzip", "debian-zstd"])
        func debian(image: String) throws {
            let script = """
                set -eu
                . /etc/os-release; echo $ID $VERSION_ID
                apt-get --version | head -n 1 | grep -c '^apt 2'
                perl -e 'print join(",", map { $_ ** 2 } 1 .. 5), "\\n"'
                python3 -c 'import sys, os; print(sum(range(101)), os.getpid() > 1, sys.version_info[:2])'
                bash -c 'declare -A a=([k]=v); echo ${a[k]} ${BASH_VERSION%%.*}'
                seq 100000 | sort -R | sort -n | sha256sum | cut -c1-16
                dpkg --verify bash coreutils perl-base | grep -v -E ' /usr/share/(doc|man|locale|info)/' || echo verified
                find / -xdev -perm -4000 -path '*/passwd' | head -n 1
                ( exec 3<>/dev/ptmx && echo terminal )
                df --output=fstype / | tail -n 1
                """
            let outcome = try swiftlet(["run", "oci:" + Project.debian(image), "bash", "-c", script], within: 400)
            #expect(
                outcome.lines.dropLast() == [
                    "debian 12", "1", "1,4,9,16,25", "5050 True (3, 11)", "v 5", Self.sortedSum, "verified", "/usr/bin/passwd", "terminal",
                ], "\(outcome)")
            #expect(outcome.ending == .exited(0) && ["tmpfs", "ext4", "overlay"].contains(outcome.lines.last ?? ""), "\(outcome)")
        }

        /// sha256 of the numbers from 1 to 100000, a line each.
        private static let sortedSum = "b2bc7d3f8b652d2e"
    }
}
