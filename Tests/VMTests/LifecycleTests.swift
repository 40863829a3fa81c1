// The commands of an OCI runtime, without an engine: a bundle is created, started, asked, signalled and deleted (docs/adr/0017). Tests/Engines has them as engines use them.
import CTestProcess
import Foundation
import Glibc
import Testing

extension VirtualMachines {
    @Suite struct Lifecycle {
        let swiftlet: Swiftlet
        let bundle: Bundle

        init() throws {
            swiftlet = try Swiftlet()
            bundle = try Bundle(in: swiftlet.directory)
        }

        /// A directory with a root file system and a config.json.
        struct Bundle {
            let path: String
            var root: String { path + "/rootfs" }

            init(in directory: TestDirectory) throws {
                path = directory.path + "/bundle"
                for name in ["bin", "etc", "tmp"] {
                    try FileManager.default.createDirectory(atPath: root + "/" + name, withIntermediateDirectories: true)
                }
                try FileManager.default.copyItem(atPath: "/bin/busybox", toPath: root + "/bin/busybox")
                for name in ["sh", "cat", "echo", "sleep", "id", "kill", "true", "touch", "ls", "ps", "grep", "hostname", "stat", "test"] {
                    try FileManager.default.createSymbolicLink(atPath: root + "/bin/" + name, withDestinationPath: "busybox")
                }
            }

            /// As an engine writes it, with what a test changes.
            func write(_ arguments: [String], _ change: (inout [String: Any]) -> Void = { _ in }) throws {
                let capabilities = ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_SETGID"]
                func mount(_ destination: String, _ type: String, _ options: [String]) -> [String: Any] {
                    ["destination": destination, "type": type, "source": type, "options": options]
                }
                var configuration: [String: Any] = [
                    "ociVersion": "1.0.2-dev", "hostname": "box", "root": ["path": "rootfs"],
                    "process": [
                        "args": arguments, "cwd": "/", "env": ["PATH=/bin", "HOME=/"], "user": ["uid": 0, "gid": 0],
                        "capabilities": ["bounding": capabilities, "effective": capabilities, "permitted": capabilities],
                        "rlimits": [["type": "RLIMIT_NOFILE", "soft": 256, "hard": 512]],
                    ],
                    "mounts": [
                        mount("/proc", "proc", ["nosuid", "noexec", "nodev"]), mount("/dev", "tmpfs", ["nosuid", "strictatime", "mode=755"]),
                        mount("/dev/pts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
                        mount("/sys", "sysfs", ["nosuid", "noexec", "nodev", "ro"]),
                    ],
                    "linux": [
                        "namespaces": ["pid", "network", "ipc", "uts", "mount"].map { ["type": $0] }, "maskedPaths": ["/proc/timer_list"],
                        "readonlyPaths": ["/proc/sys"],
                    ],
                    "annotations": ["org.example.key": "value"],
                ]
                change(&configuration)
                try JSONSerialization.data(withJSONObject: configuration).write(to: URL(filePath: path + "/config.json"))
            }
        }

        // MARK: Commands

        var root: [String] { ["--root", swiftlet.directory.path + "/containers"] }

        /// A command that leaves nothing behind but what it is for.
        func command(_ words: [String]) throws -> Outcome { try swiftlet.start(root + words, .noInput).finish() }

        /// The process whose output is the container's.
        func create(_ identifier: String, _ options: [String] = []) throws -> TestProcess {
            let process = try swiftlet.start(root + ["create", "--bundle", bundle.path] + options + [identifier], .noInput)
            #expect(process.hasEnded(within: 150), "\(process)")
            return process
        }

        func state(_ identifier: String) throws -> [String: Any] {
            let outcome = try command(["state", identifier])
            #expect(outcome.ending == .exited(0), "\(outcome)")
            return try #require(try JSONSerialization.jsonObject(with: Data(outcome.output)) as? [String: Any])
        }

        func status(_ identifier: String) throws -> String { try state(identifier)["status"] as? String ?? "" }

        func waits(_ identifier: String, for wanted: String) throws -> Bool {
            for _ in 0..<300 {
                if try status(identifier) == wanted { return true }
                usleep(50000)
            }
            return false
        }

        func refuses(_ words: [String], _ sentence: String, status: Int32 = 1, _ location: SourceLocation = #_sourceLocation) throws {
            let outcome = try command(words)
            #expect(outcome.ending == .exited(status) && outcome.text == "", "\(outcome)", sourceLocation: location)
            #expect(outcome.errorText.hasPrefix("swiftlet: "), "\(outcome)", sourceLocation: location)
            #expect(outcome.errorText.contains(sentence), "\(outcome)", sourceLocation: location)
        }

        /// Deletes it, and looks for what is left.
        func delete(_ identifier: String, _ before: Leftovers, forced: Bool = false) throws {
            let outcome = try command(["delete"] + (forced ? ["--force"] : []) + [identifier])
            #expect(outcome.ending == .exited(0) && outcome.errorText == "", "\(outcome)")
            try refuses(["state", identifier], "container does not exist")
            var now = Leftovers.now(besides: swiftlet.directory.path)
            for _ in 0..<100 where now.processes != before.processes {
                usleep(20000)
                now = Leftovers.now(besides: swiftlet.directory.path)
            }
            #expect(now == before)
        }

        func leftovers() throws -> Leftovers {
            try FileManager.default.createDirectory(atPath: swiftlet.directory.path + "/containers", withIntermediateDirectories: true)
            return Leftovers.now(besides: swiftlet.directory.path)
        }

        // MARK: A life

        @Test func fromCreateToDelete() throws {
            try bundle.write(["/bin/sh", "-c", "echo begun; id -u; hostname; echo to the host >/written; sleep 0.2; exit 3"])
            let before = try leftovers()
            let process = try create("one", ["--pid-file", swiftlet.directory.path + "/pid"])
            #expect(process.errorSoFar == "", "\(process)")
            let created = try state("one")
            #expect(created["status"] as? String == "created" && created["id"] as? String == "one")
            #expect(created["bundle"] as? String == bundle.path)
            #expect((created["annotations"] as? [String: String]) == ["org.example.key": "value"])
            let pid = try #require(created["pid"] as? Int)
            #expect(try String(contentsOfFile: swiftlet.directory.path + "/pid", encoding: .utf8) == "\(pid)")
            try FileManager.default.removeItem(atPath: swiftlet.directory.path + "/pid")
            #expect(try String(contentsOfFile: "/proc/\(pid)/comm", encoding: .utf8) == "swiftlet-vmm\n")
            // Nothing has been executed yet.
            usleep(300_000)
            #expect(process.outputSoFar == "" && !FileManager.default.fileExists(atPath: bundle.root + "/written"))
            #expect(try command(["start", "one"]).ending == .exited(0))
            #expect(process.sees("begun\n0\nbox\n"), "\(process)")
            #expect(try waits("one", for: "stopped"))
            #expect(try state("one")["pid"] as? Int == 0)
            #expect(try String(contentsOfFile: bundle.root + "/written", encoding: .utf8) == "to the host\n")
            try refuses(["kill", "one"], "container not running")
            try refuses(["start", "one"], "cannot start a container that has stopped")
            try FileManager.default.removeItem(atPath: bundle.root + "/written")
            try delete("one", before)
        }

        func wait(for pid: Int32) -> Ending {
            var status: Int32 = 0
            // SAFETY: waitpid writes one int.
            while unsafe waitpid(pid, &status, 0) < 0 && errno == EINTR {}
            return Ending(waitStatus: status)
        }

        @Test func theVMMsStatusIsTheContainers() throws {
            // Only who adopts it sees it; here that is this process.
            #expect(test_process_adopt_orphans(1) == 0)
            defer { test_process_adopt_orphans(0) }
            let before = try leftovers()
            for (script, wanted) in [("exit 3", Ending.exited(3)), ("exec /bin/sh -c 'exit 200'", .exited(200))] {
                try bundle.write(["/bin/sh", "-c", script])
                _ = try create("one")
                let pid = Int32(try #require(try state("one")["pid"] as? Int))
                let server = Leftovers.now(besides: swiftlet.directory.path).processes.first { $0.hasPrefix("swiftlet-files ") }
                let serverPID = try #require(server.flatMap { Int32($0.dropFirst("swiftlet-files ".count)) })
                #expect(try command(["start", "one"]).ending == .exited(0))
                #expect(wait(for: pid) == wanted, "\(script)")
                // The file server, too, has become this process's.
                #expect(wait(for: serverPID) == .exited(0))
                try delete("one", before)
            }
        }

        @Test func signalsReachTheProcess() throws {
            try bundle.write([
                "/bin/sh", "-c", "trap 'echo usr' USR1; trap 'echo term; exit 5' TERM; echo up; sleep 1000 & while true; do wait; done",
            ])
            let before = try leftovers()
            let process = try create("one")
            #expect(try command(["start", "one"]).ending == .exited(0))
            #expect(process.sees("up\n"))
            #expect(try command(["kill", "one", "USR1"]).ending == .exited(0))
            #expect(process.sees("usr\n"))
            try refuses(["start", "one"], "cannot start an already running container")
            try refuses(["delete", "one"], "cannot delete container one that is not stopped: running")
            try refuses(["kill", "one", "NOSUCH"], "unknown signal")
            #expect(try command(["kill", "one", "15"]).ending == .exited(0))
            #expect(process.sees("term\n"))
            #expect(try waits("one", for: "stopped"))
            try delete("one", before)
        }

        @Test func oneThatWasNeverStartedGoes() throws {
            try bundle.write(["/bin/true"])
            let before = try leftovers()
            _ = try create("one")
            // It has no process yet, and others may be in it already.
            expectOutput(try command(["exec", "one", "/bin/echo", "early"]), "early\n")
            #expect(try command(["kill", "one", "0"]).ending == .exited(0))
            try refuses(["create", "--bundle", bundle.path, "one"], "container with given ID already exists")
            try delete("one", before)
        }

        @Test func whateverIsKilledTheTruthIsTold() throws {
            try bundle.write(["/bin/sleep", "1000"])
            let before = try leftovers()
            _ = try create("one")
            #expect(try command(["start", "one"]).ending == .exited(0))
            kill(Int32(try #require(try state("one")["pid"] as? Int)), SIGKILL)
            #expect(try waits("one", for: "stopped"))
            try delete("one", before)
            // Killed by its own name, and removed in one go.
            _ = try create("two")
            #expect(try command(["start", "two"]).ending == .exited(0))
            #expect(try command(["kill", "two", "KILL"]).ending == .exited(0))
            #expect(try waits("two", for: "stopped"))
            try delete("two", before)
            _ = try create("three")
            #expect(try command(["start", "three"]).ending == .exited(0))
            try delete("three", before, forced: true)
            #expect(try command(["delete", "--force", "three"]).ending == .exited(0))
        }

        /// At any instant: afterwards there is a whole container or none, and its name can be used again.
        @Test func aKilledCreateLeavesNothing() throws {
            try bundle.write(["/bin/true"])
            let before = try leftovers()
            for delay in stride(from: 0, through: 600_000, by: 40_000) {
                let process = try swiftlet.start(root + ["create", "--bundle", bundle.path, "one"], .noInput)
                usleep(UInt32(delay))
                process.signal(SIGKILL)
                _ = process.hasEnded(within: 60)
                _ = try command(["state", "one"])
                #expect(try command(["delete", "--force", "one"]).ending == .exited(0), "after \(delay) µs")
            }
            _ = try create("one")
            #expect(try status("one") == "created")
            try delete("one", before)
        }

        @Test func listsThem() throws {
            try bundle.write(["/bin/true"])
            let before = try leftovers()
            _ = try create("one")
            _ = try create("two")
            #expect(try command(["list", "-q"]).text == "one\ntwo\n")
            let lines = try command(["list"]).lines
            #expect(lines.count == 3 && lines[0].hasPrefix("ID") && lines[1].contains("created") && lines[2].contains(bundle.path), "\(lines)")
            let list = try JSONSerialization.jsonObject(with: Data(try command(["list", "--format", "json"]).output)) as? [[String: Any]]
            #expect(list?.compactMap { $0["id"] as? String } == ["one", "two"])
            let pid = try #require(list?.first?["pid"] as? Int)
            #expect(try command(["ps", "--format", "json", "one"]).text == "[\(pid)]\n")
            let table = try command(["ps", "one"]).lines
            #expect(table.count == 2 && table[0].contains("PPID") && table[1].contains(" \(pid) ") && table[1].contains("swiftlet-vmm"), "\(table)")
            #expect(try command(["ps", "one", "-eo", "pid,comm"]).lines.last?.hasSuffix("\(pid) swiftlet-vmm") == true)
            let nowhere = try swiftlet.start(["--root", swiftlet.directory.path + "/nowhere", "list"], .noInput).finish()
            #expect(nowhere.ending == .exited(1) && nowhere.errorText.contains("no such file or directory"), "\(nowhere)")
            #expect(!FileManager.default.fileExists(atPath: swiftlet.directory.path + "/nowhere"))
            #expect(try command(["delete", "one"]).ending == .exited(0))
            #expect(try command(["list", "-q"]).text == "two\n")
            try delete("two", before)
        }

        @Test(.enabled(if: Project.isRoot, "only root's machines have cgroups")) func aMachineStandsStill() throws {
            try bundle.write(["/bin/sh", "-c", "while true; do echo tick; sleep 0.1; done"])
            let before = try leftovers()
            let process = try create("one")
            #expect(try command(["start", "one"]).ending == .exited(0))
            #expect(process.sees("tick\n"))
            try refuses(["resume", "one"], "container not paused")
            #expect(try command(["pause", "one"]).ending == .exited(0))
            #expect(try status("one") == "paused")
            usleep(300_000)
            let count = process.outputSoFar.count
            usleep(1_000_000)
            #expect(process.outputSoFar.count == count)
            try refuses(["exec", "one", "/bin/true"], "cannot exec in a container that is paused", status: 255)
            #expect(try command(["resume", "one"]).ending == .exited(0))
            for _ in 0..<200 where process.outputSoFar.count == count { usleep(50000) }
            #expect(process.outputSoFar.count > count)
            #expect(try command(["pause", "one"]).ending == .exited(0))
            try delete("one", before, forced: true)
        }

        // MARK: What config.json asks for

        @Test func whatIsAskedForIsApplied() throws {
            let shared = swiftlet.directory.path + "/shared"
            try FileManager.default.createDirectory(atPath: shared, withIntermediateDirectories: true)
            try Data("from the host\n".utf8).write(to: URL(filePath: shared + "/file"))
            let script = """
                id -u; id -g; id -G; cat /proc/self/cwd/../etc/bound; test ! -w /ro/file && touch /ro/x; grep -E 'CapBnd|CapAmb|NoNewPrivs' /proc/self/status
                cat /proc/sys/net/ipv4/ip_default_ttl /proc/sys/kernel/msgmax; test -c /proc/timer_list && echo 1; umask; touch /proc/sys/kernel/msgmax; stat -c %a /made
                """
            try bundle.write(["/bin/sh", "-c", script + "; echo rlimit; ulimit -n 2>/dev/null || true"]) { configuration in
                var process = configuration["process"] as? [String: Any] ?? [:]
                process["user"] = ["uid": 12, "gid": 34, "additionalGids": [34, 56], "umask": 0o27] as [String: Any]
                process["capabilities"] = ["bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"], "inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL"]]
                process["noNewPrivileges"] = true
                process["cwd"] = "/etc"
                configuration["process"] = process
                var mounts = configuration["mounts"] as? [[String: Any]] ?? []
                mounts.append(["destination": "/etc/bound", "type": "bind", "source": shared + "/file", "options": ["rbind", "rprivate"]])
                mounts.append(["destination": "/ro", "type": "none", "source": shared, "options": ["bind", "ro", "nosuid"]])
                mounts.append(["destination": "/made", "type": "tmpfs", "source": "tmpfs", "options": ["mode=1711", "size=64k"]])
                configuration["mounts"] = mounts
                var linux = configuration["linux"] as? [String: Any] ?? [:]
                linux["sysctl"] = ["net.ipv4.ip_default_ttl": "77", "kernel.msgmax": "4000"]
                linux["resources"] =
                    ["memory": ["limit": 100 << 20], "cpu": ["quota": 150_000, "period": 100_000], "pids": ["limit": 64]] as [String: Any]
                configuration["linux"] = linux
            }
            let before = try leftovers()
            let process = try create("one")
            #expect(process.errorSoFar == "", "\(process)")
            #expect(try command(["start", "one"]).ending == .exited(0))
            let outcome = process.finish()
            let expected = """
                12
                34
                34 56
                from the host
                CapBnd:\t0000000000000020
                CapAmb:\t0000000000000020
                NoNewPrivs:\t1
                77
                4000
                1
                0027
                1711
                rlimit
                256

                """
            #expect(outcome.text == expected, "\(outcome)")
            #expect(outcome.errorText.contains("/ro/x: Read-only file system") && outcome.errorText.contains("msgmax"), "\(outcome)")
            // Made where it was missing, as runc does.
            #expect(FileManager.default.fileExists(atPath: bundle.root + "/etc/bound"))
            try delete("one", before)
        }

        @Test func hooksAreTold() throws {
            let log = swiftlet.directory.path + "/hooks"
            func hook(_ name: String) -> [[String: Any]] {
                [
                    [
                        "path": "/bin/sh", "args": ["sh", "-c", "echo $NAME $(cat | tr -d ' \\n') >>\(log)"],
                        "env": ["NAME=\(name)", "PATH=/bin:/usr/bin"],
                    ]
                ]
            }
            try bundle.write(["/bin/true"]) { configuration in
                configuration["hooks"] = Dictionary(
                    uniqueKeysWithValues: ["prestart", "createRuntime", "poststart", "poststop"].map { ($0, hook($0)) })
            }
            let before = try leftovers()
            _ = try create("one")
            let pid = try #require(try state("one")["pid"] as? Int)
            #expect(try command(["start", "one"]).ending == .exited(0))
            #expect(try waits("one", for: "stopped"))
            #expect(try command(["delete", "one"]).ending == .exited(0))
            let lines = try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n")
            #expect(lines.map { $0.split(separator: " ")[0] } == ["prestart", "createRuntime", "poststart", "poststop"])
            #expect(lines.first?.contains("\"status\":\"creating\",\"pid\":\(pid)") == true, "\(lines)")
            #expect(lines.last?.contains("\"status\":\"stopped\",\"pid\":0") == true, "\(lines)")
            try FileManager.default.removeItem(atPath: log)
            // What goes wrong at the end is said, and the rest is done.
            try bundle.write(["/bin/true"]) { $0["hooks"] = ["poststop": [["path": "/bin/false"]] + hook("last")] }
            _ = try create("late")
            let late = try command(["delete", "late"])
            #expect(late.ending == .exited(0) && late.errorText.contains("poststop hook #0: /bin/false: exit status 1"), "\(late)")
            #expect(try String(contentsOfFile: log, encoding: .utf8).hasPrefix("last "))
            try FileManager.default.removeItem(atPath: log)
            // One that fails keeps the container from being.
            try bundle.write(["/bin/true"]) { $0["hooks"] = ["prestart": [["path": "/bin/false"]]] }
            try refuses(["create", "--bundle", bundle.path, "two"], "error running prestart hook #0: /bin/false: exit status 1")
            try refuses(["state", "two"], "container does not exist")
            #expect(Leftovers.now(besides: swiftlet.directory.path) == before)
        }

        // MARK: exec

        @Test func moreProcesses() throws {
            try bundle.write(["/bin/sleep", "1000"])
            let before = try leftovers()
            let process = try create("one")
            #expect(try command(["start", "one"]).ending == .exited(0))
            let exec = root + ["exec"]
            expectOutput(try swiftlet.start(exec + ["one", "/bin/echo", "inside"], .noInput).finish(), "inside\n")
            let mixed = try swiftlet.start(
                exec + ["-e", "A=b", "--cwd", "/tmp", "-u", "12:34", "one", "/bin/sh", "-c", "cat; id -u; echo $A $PWD >&2; exit 6"])
            mixed.send("data\n")
            mixed.closeInput()
            let outcome = mixed.finish()
            #expect(outcome.ending == .exited(6) && outcome.text == "data\n12\n" && outcome.errorText == "b /tmp\n", "\(outcome)")
            #expect(try command(["exec", "one", "/bin/sh", "-c", "kill -9 $$"]).ending == .exited(137))
            try refuses(["exec", "one", "nosuch"], "exec: \"nosuch\": executable file not found in $PATH", status: 255)
            try refuses(["exec", "one", "/etc"], "is a directory", status: 255)
            try refuses(["exec", "one"], "must not be empty", status: 255)

            // A signal to the host's process reaches the guest's; its death ends it.
            let trapped = try swiftlet.start(
                exec + ["one", "/bin/sh", "-c", "trap 'echo hup; exit 4' HUP; echo up; sleep 1000 >/dev/null 2>&1 & while true; do wait; done"],
                .noInput)
            #expect(trapped.sees("up\n"))
            trapped.signal(SIGHUP)
            #expect(trapped.finish().ending == .exited(4) && trapped.outputSoFar == "up\nhup\n")
            let killed = try swiftlet.start(exec + ["one", "/bin/sh", "-c", "echo up; exec sleep 777"], .noInput)
            #expect(killed.sees("up\n"))
            killed.signal(SIGKILL)
            _ = killed.finish()
            var left = "sleep 777"
            for _ in 0..<100 where left.contains("sleep 777") { left = try command(["exec", "one", "/bin/ps"]).text }
            #expect(!left.contains("sleep 777") && left.contains("sleep 1000"), "\(left)")

            // Many, and none leaves a descriptor in the VMM.
            let pid = try #require(try state("one")["pid"] as? Int)
            func descriptors() -> Int { (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").count) ?? 0 }
            let open = descriptors()
            let many = try (0..<24).map { try swiftlet.start(exec + ["one", "/bin/sh", "-c", "echo \($0); exit \($0)"], .noInput) }
            for (number, one) in many.enumerated() {
                let outcome = one.finish()
                #expect(outcome.ending == .exited(Int32(number)) && outcome.text == "\(number)\n" && outcome.errorText == "", "\(outcome)")
            }
            for _ in 0..<100 where descriptors() != open { usleep(20000) }
            #expect(descriptors() == open)

            // The container's end is everybody's.
            let last = try swiftlet.start(exec + ["one", "/bin/sh", "-c", "echo up; sleep 1000"], .noInput)
            #expect(last.sees("up\n"))
            #expect(try command(["kill", "one", "KILL"]).ending == .exited(0))
            #expect(last.finish().ending == .exited(137))
            #expect(process.finish().text == "")
            try delete("one", before)
        }

        /// Container roots of engines that remap users: what they make belongs to others on the host, and what is the host's root's is nobody's there.
        @Test(.enabled(if: Project.isRoot, "only root's files can belong to others")) func usersOfANamespaceAreOthersOutside() throws {
            for (name, mode) in [("tmp", 0o777), ("etc", 0o755)] {
                try FileManager.default.setAttributes(
                    [.ownerAccountID: 100_000, .groupOwnerAccountID: 200_000, .posixPermissions: mode], ofItemAtPath: bundle.root + "/" + name)
            }
            try Data("secret\n".utf8).write(to: URL(filePath: bundle.root + "/secret"))
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: bundle.root + "/secret")
            let shared = swiftlet.directory.path + "/shared"
            try FileManager.default.createDirectory(atPath: shared, withIntermediateDirectories: false)
            func map(_ outside: Int) -> [[String: Any]] { [["containerID": 0, "hostID": outside, "size": 1]] }
            let before = try leftovers()
            try bundle.write(["/bin/sh", "-c", "id -u > /tmp/first; exec sleep 1000"]) { configuration in
                configuration["linux"] = [
                    "namespaces": ["pid", "network", "ipc", "uts", "mount", "user", "cgroup"].map { ["type": $0] },
                    "uidMappings": [["containerID": 0, "hostID": 100_000, "size": 1000]],
                    "gidMappings": [["containerID": 0, "hostID": 200_000, "size": 10], ["containerID": 10, "hostID": 300_000, "size": 100]],
                    "devices": [["path": "/dev/mine", "type": "c", "major": 1, "minor": 3, "uid": 7, "gid": 11]],
                ]
                configuration["mounts"] =
                    (configuration["mounts"] as? [Any] ?? []) + [
                        ["destination": "/run", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755", "size=1m"]] as [String: Any],
                        ["destination": "/theirs", "type": "tmpfs", "source": "tmpfs", "options": ["uid=7", "gid=11"]] as [String: Any],
                        // Id-mapped: root's files are the container's root's, or another's, and so are new ones on the host.
                        ["destination": "/shared", "type": "bind", "source": shared, "options": ["rbind", "idmap"]] as [String: Any],
                        [
                            "destination": "/moved", "type": "bind", "source": shared, "options": ["rbind"], "uidMappings": map(100_007),
                            "gidMappings": map(300_001),
                        ] as [String: Any],
                    ]
            }
            let process = try create("one")
            #expect(try command(["start", "one"]).ending == .exited(0))
            let script = """
                cat /tmp/first; cd /tmp; touch own; stat -c '%u %g' own . / /run /theirs /dev/mine; touch /run/x && echo x > /dev/null && echo writable
                /bin/busybox tr -s ' ' < /proc/self/uid_map; /bin/busybox tr -s ' ' < /proc/self/gid_map
                for command in 'cat /secret' 'touch /bin/x' 'hostname other' '/bin/busybox mount -t tmpfs x /tmp'; do $command 2>/dev/null && echo "$command went well"; done; true
                """
            expectOutput(
                try swiftlet.start(root + ["exec", "one", "/bin/sh", "-c", script], .noInput).finish(),
                "0\n0 0\n0 0\n65534 65534\n0 0\n7 11\n7 11\nwritable\n 0 100000 1000\n 0 200000 10\n 10 300000 100\n")
            expectOutput(
                try swiftlet.start(
                    root + ["exec", "one", "/bin/sh", "-c", "touch /shared/file; stat -c '%u %g' /shared/file /moved/file"], .noInput
                ).finish(), "0 0\n7 11\n")
            let file = try FileManager.default.attributesOfItem(atPath: shared + "/file")
            #expect(file[.ownerAccountID] as? Int == 0 && file[.groupOwnerAccountID] as? Int == 0, "\(file)")
            // More rights are rights over what is the namespace's.
            let privileged = ["exec", "--cap", "CAP_SYS_ADMIN", "one", "/bin/sh", "-c"]
            let tries = """
                hostname other && hostname; /bin/busybox mount -t tmpfs x /tmp && echo mounted; cat /secret 2>/dev/null || echo no secret
                /bin/busybox umount /dev 2>/dev/null || echo locked
                """
            expectOutput(
                try swiftlet.start(root + privileged + [tries], .noInput).finish(), "other\nmounted\nno secret\nlocked\n")
            let user = [
                "exec", "-u", "7:11", "--cwd", "/theirs", "one", "/bin/sh", "-c",
                "id -u; id -g; touch /theirs/y; cat < /proc/self/fd/0; echo x > /proc/self/fd/1",
            ]
            expectOutput(try swiftlet.start(root + user, .noInput).finish(), "7\n11\nx\n")
            try refuses(["exec", "-u", "2000", "one", "/bin/true"], "the process can't become user 2000", status: 255)
            let own = try FileManager.default.attributesOfItem(atPath: bundle.root + "/tmp/own")
            #expect(own[.ownerAccountID] as? Int == 100_000 && own[.groupOwnerAccountID] as? Int == 200_000, "\(own)")
            #expect(try command(["kill", "one", "KILL"]).ending == .exited(0))
            #expect(process.finish().text == "")
            try delete("one", before)
        }

        @Test func aBundleWithATerminalNeedsAPlaceForIt() throws {
            try bundle.write(["/bin/true"]) { configuration in
                var process = configuration["process"] as? [String: Any] ?? [:]
                process["terminal"] = true
                configuration["process"] = process
            }
            try refuses(["create", "--bundle", bundle.path, "one"], "cannot allocate tty if runtime will detach without setting console socket")
            try refuses(["create", "--bundle", bundle.path, "--console-socket", "/nosuch", "one"], "/nosuch")
            try refuses(["state", "one"], "container does not exist")
        }

        // MARK: Wrong input

        @Test func whatCannotBeIsRefused() throws {
            let before = try leftovers()
            try refuses(["create", "--bundle", bundle.path + "/none", "one"], "cannot be found: No such file or directory")
            try refuses(["create", "--bundle", bundle.path, "one"], "config.json not found")
            func refusesConfiguration(_ sentence: String, _ change: (inout [String: Any]) -> Void) throws {
                try bundle.write(["/bin/true"], change)
                try refuses(["create", "--bundle", bundle.path, "one"], sentence)
            }
            try refusesConfiguration("ociVersion \"2.0.0\" is not 1.x") { $0["ociVersion"] = "2.0.0" }
            try refusesConfiguration("root is missing") { $0["root"] = nil }
            try refusesConfiguration("process.args must not be empty") { $0["process"] = ["args": [String](), "cwd": "/"] as [String: Any] }
            try refusesConfiguration("process.cwd must be an absolute path") { $0["process"] = ["args": ["x"], "cwd": "tmp"] as [String: Any] }
            try refusesConfiguration("rootfs/none cannot be opened: No such file or directory: check config.json") {
                $0["root"] = ["path": "rootfs/none"]
            }
            try refusesConfiguration("root.path is not a directory") { $0["root"] = ["path": "rootfs/bin/busybox"] }
            try refusesConfiguration("linux.intelRdt: resctrl is not supported") { $0["linux"] = ["intelRdt": ["closID": "x"]] }
            try refusesConfiguration("linux.namespaces[0].path \"/proc/1/ns/pid\": a machine can't be in somebody else's pid namespace") {
                $0["linux"] = ["namespaces": [["type": "pid", "path": "/proc/1/ns/pid"]]]
            }
            try refusesConfiguration("mounts[0].type \"nfs\" is not supported") {
                $0["mounts"] = [["destination": "/x", "type": "nfs", "source": "y"]]
            }
            try refusesConfiguration("mounts[0].options \"ridmap\"") {
                $0["mounts"] = [["destination": "/x", "type": "bind", "source": "/tmp", "options": ["rbind", "ridmap"]] as [String: Any]]
            }
            try refusesConfiguration("linux.namespaces: \"/proc/self/ns/ipc\" is no network namespace") {
                $0["linux"] = ["namespaces": [["type": "network", "path": "/proc/self/ns/ipc"]]]
            }
            try refusesConfiguration("linux.namespaces: the network namespace /nosuch cannot be opened: No such file or directory") {
                $0["linux"] = ["namespaces": [["type": "network", "path": "/nosuch"]]]
            }
            try refusesConfiguration("/dev/null is neither a directory nor a regular file") {
                $0["mounts"] = [["destination": "/x", "type": "bind", "source": "/dev/null"]]
            }
            try refusesConfiguration("exec: \"/nosuch\": stat /nosuch: no such file or directory") { configuration in
                configuration["process"] = ["args": ["/nosuch"], "cwd": "/"] as [String: Any]
            }
            try Data("{".utf8).write(to: URL(filePath: bundle.path + "/config.json"))
            try refuses(["create", "--bundle", bundle.path, "one"], "it is not JSON")
            try bundle.write(["/bin/true"])
            for name in ["a/b", "..", String(repeating: "x", count: 300), "a b"] {
                try refuses(["create", "--bundle", bundle.path, name], "invalid container ID format")
            }
            try refuses(["start", "nobody"], "container does not exist")
            try refuses(["kill", "nobody"], "container does not exist")
            try refuses(["delete", "nobody"], "container does not exist")
            try refuses(["exec", "nobody", "true"], "container does not exist", status: 255)
            // The reason is where engines look for it.
            let log = swiftlet.directory.path + "/log"
            _ = try command(["--log", log, "--log-format", "json", "state", "nobody"])
            let entry = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: log))) as? [String: String]
            #expect(entry?["level"] == "error" && entry?["msg"] == "container does not exist: nobody" && entry?["time"] != nil)
            try FileManager.default.removeItem(atPath: log)
            #expect(Leftovers.now(besides: swiftlet.directory.path) == before)
        }
    }
}
