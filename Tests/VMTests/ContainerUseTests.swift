// What an OCI container may use and uses, and the rest of what its configuration asks for of the machine (docs/adr/0017).
import CTestProcess
import Foundation
import Glibc
import Testing

extension VirtualMachines.Lifecycle {
    // MARK: Limits

    @Test(.enabled(if: Project.isRoot, "only root's machines have cgroups")) func limitsChangeWhileItRuns() throws {
        try bundle.write(["/bin/sleep", "1000"]) { configuration in
            var linux = configuration["linux"] as? [String: Any] ?? [:]
            linux["cgroupsPath"] = "/swiftlet-tests/updated"
            linux["resources"] = ["memory": ["limit": 100 << 20], "cpu": ["quota": 50_000, "period": 100_000]] as [String: Any]
            configuration["linux"] = linux
        }
        let before = try leftovers()
        let process = try create("one")
        #expect(try command(["start", "one"]).ending == .exited(0))
        func setting(_ file: String) throws -> String { try String(contentsOfFile: "/sys/fs/cgroup/swiftlet-tests/updated/" + file, encoding: .utf8) }
        #expect(try setting("cpu.max") == "50000 100000\n")
        #expect(
            try command(["update", "--cpu-quota", "20000", "--cpu-period", "50000", "--memory", "64m", "--pids-limit", "9", "one"]).ending
                == .exited(0))
        #expect(try setting("cpu.max") == "20000 50000\n")
        var use = try statistics("one")
        #expect((use["memory"] as? [String: Any])?["usage"].flatMap { ($0 as? [String: Any])?["limit"] as? Int } == 64 << 20, "\(use)")
        #expect((use["pids"] as? [String: Any])?["limit"] as? Int == 9 && (use["pids"] as? [String: Any])?["current"] as? Int == 1, "\(use)")
        // As an engine does it: all of them at once, on standard input. What is zero stays.
        let engine = try swiftlet.start(root + ["update", "--resources", "-", "one"])
        engine.send(#"{"memory": {"limit": 0}, "cpu": {"quota": -1, "shares": 512}, "pids": {"limit": -1}}"#)
        engine.closeInput()
        let outcome = engine.finish()
        #expect(outcome.ending == .exited(0) && outcome.errorText == "", "\(outcome)")
        #expect(try setting("cpu.max") == "max 100000\n" && setting("cpu.weight") == "20\n")
        use = try statistics("one")
        #expect((use["memory"] as? [String: Any])?["usage"].flatMap { ($0 as? [String: Any])?["limit"] as? Int } == 64 << 20, "\(use)")
        #expect((use["pids"] as? [String: Any])?["limit"] as? Int == 0, "\(use)")
        // Nobody needed this one before.
        #expect(try command(["update", "--blkio-weight", "100", "one"]).ending == .exited(0))
        #expect(FileManager.default.fileExists(atPath: "/sys/fs/cgroup/swiftlet-tests/updated/io.max"))
        try refuses(["update", "--memory", "1g", "one"], "has 100 MiB of memory and gets no more while it runs")
        try refuses(["update", "--cpu-share", "many", "one"], "the option --cpu-share has the value \"many\"")
        #expect(try command(["kill", "one", "KILL"]).ending == .exited(0))
        _ = process.finish()
        #expect(try waits("one", for: "stopped"))
        try refuses(["update", "--pids-limit", "5", "one"], "container not running")
        try refuses(["events", "--stats", "one"], "is not running")
        try delete("one", before)
        // SAFETY: the call reads a string.
        _ = unsafe rmdir("/sys/fs/cgroup/swiftlet-tests")
    }

    private func statistics(_ identifier: String) throws -> [String: Any] {
        let outcome = try command(["events", "--stats", identifier])
        #expect(outcome.ending == .exited(0) && outcome.errorText == "", "\(outcome)")
        let event = try JSONSerialization.jsonObject(with: Data(outcome.output)) as? [String: Any]
        #expect(event?["type"] as? String == "stats" && event?["id"] as? String == identifier)
        return try #require(event?["data"] as? [String: Any])
    }

    @Test func useIsTheGuests() throws {
        try bundle.write(["/bin/sh", "-c", "i=0; while test $i -lt 20000; do i=$((i + 1)); done; echo done; exec sleep 1000"])
        let before = try leftovers()
        let process = try create("one")
        #expect(try command(["start", "one"]).ending == .exited(0))
        #expect(process.sees("done\n"))
        let use = try statistics("one")
        let time = ((use["cpu"] as? [String: Any])?["usage"] as? [String: Any])?["total"] as? Int ?? 0
        let memory = ((use["memory"] as? [String: Any])?["usage"] as? [String: Any])?["usage"] as? Int ?? 0
        #expect(time > 1_000_000 && memory > 4096 && memory < 512 << 20, "\(use)")
        // Again and again, until the end.
        let events = try swiftlet.start(root + ["events", "--interval", "1s", "one"], .noInput)
        #expect(events.sees("\"type\":\"stats\""))
        #expect(try command(["kill", "one", "KILL"]).ending == .exited(0))
        #expect(events.finish().ending == .exited(0))
        _ = process.finish()
        #expect(try waits("one", for: "stopped"))
        try delete("one", before)
    }

    /// The engine learns it from the cgroup, and from the status.
    @Test(.enabled(if: Project.isRoot, "only root's machines have cgroups")) func memoryThatRunsOutIsSeenOutside() throws {
        #expect(test_process_adopt_orphans(1) == 0)
        defer { test_process_adopt_orphans(0) }
        let before = try leftovers()
        try bundle.write(["/bin/sh", "-c", "x=x; while true; do x=$x$x; done"]) { configuration in
            var linux = configuration["linux"] as? [String: Any] ?? [:]
            linux["cgroupsPath"] = "/swiftlet-tests/exhausted"
            linux["resources"] = ["memory": ["limit": 64 << 20]]
            configuration["linux"] = linux
        }
        _ = try create("one")
        let pid = Int32(try #require(try state("one")["pid"] as? Int))
        let server = Leftovers.now(besides: swiftlet.directory.path).processes.first { $0.hasPrefix("swiftlet-files ") }
        let serverPID = try #require(server.flatMap { Int32($0.dropFirst("swiftlet-files ".count)) })
        #expect(try command(["start", "one"]).ending == .exited(0))
        #expect(wait(for: pid) == .signalled(SIGKILL))
        let events = try String(contentsOfFile: "/sys/fs/cgroup/swiftlet-tests/exhausted/memory.events", encoding: .utf8)
        #expect(events.split(separator: "\n").contains { $0.hasPrefix("oom_kill ") && $0 != "oom_kill 0" }, "\(events)")
        _ = wait(for: serverPID)
        #expect(try waits("one", for: "stopped"))
        try delete("one", before)
        // SAFETY: the call reads a string.
        _ = unsafe rmdir("/sys/fs/cgroup/swiftlet-tests")
    }

    // MARK: What else a configuration asks for

    @Test func devicesNamesAndHooksAreTheMachines() throws {
        let script = """
            stat -c '%n %F %t:%T %a %u:%g' /dev/block /dev/deep/char /dev/pipe /dev/null; cat /proc/sys/kernel/domainname /proc/self/oom_score_adj; cat /hook
            """
        try bundle.write(["/bin/sh", "-c", script]) { configuration in
            configuration["domainname"] = "example.org"
            configuration["hooks"] = [
                "startContainer": [
                    ["path": "/bin/sh", "args": ["sh", "-c", "echo $NAME; cat"], "env": ["NAME=first"]],
                    ["path": "/bin/sh", "args": ["sh", "-c", "cat >/hook; id -u >>/hook"], "env": ["PATH=/bin"]],
                ]
            ]
            var process = configuration["process"] as? [String: Any] ?? [:]
            process["oomScoreAdj"] = 123
            process["apparmorProfile"] = "docker-default"
            configuration["process"] = process
            var linux = configuration["linux"] as? [String: Any] ?? [:]
            linux["devices"] = [
                ["path": "/dev/block", "type": "b", "major": 7, "minor": 3, "fileMode": 0o640, "uid": 5, "gid": 6],
                ["path": "/dev/deep/char", "type": "c", "major": 10, "minor": 229], ["path": "/dev/pipe", "type": "p", "fileMode": 0o600],
                ["path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o600],
            ]
            configuration["linux"] = linux
        }
        let before = try leftovers()
        let process = try create("one")
        let pid = try #require(try state("one")["pid"] as? Int)
        #expect(process.outputSoFar == "")
        #expect(try command(["start", "one"]).ending == .exited(0))
        let lines = process.finish().lines
        #expect(lines.first == "first", "\(process)")
        #expect(lines.contains("/dev/block block special file 7:3 640 5:6"), "\(lines)")
        #expect(lines.contains("/dev/deep/char character special file a:e5 666 0:0") && lines.contains("/dev/pipe fifo 0:0 600 0:0"), "\(lines)")
        #expect(lines.contains("/dev/null character special file 1:3 600 0:0"), "\(lines)")
        #expect(lines.contains("example.org") && lines.contains("123") && lines.last == "0", "\(lines)")
        #expect(lines.filter { $0.contains("\"status\":\"created\"") && $0.contains("\"pid\":\(pid)") }.count == 2, "\(lines)")
        try delete("one", before)
        // One that fails keeps the process from being executed.
        for (hook, sentence) in [
            (["path": "/bin/sh", "args": ["sh", "-c", "exit 7"]] as [String: Any], "startContainer hook #0: /bin/sh: exit status 7"),
            (["path": "/nosuch"], "startContainer hook #0: /nosuch: No such file or directory"),
            (["path": "/bin/sleep", "args": ["sleep", "1000"], "timeout": 1], "startContainer hook #0: /bin/sleep: it took more than 1 s"),
        ] {
            try bundle.write(["/bin/echo", "ran"]) { $0["hooks"] = ["startContainer": [hook]] }
            let process = try create("two")
            try refuses(["start", "two"], sentence)
            #expect(process.finish().text == "")
            #expect(try waits("two", for: "stopped"))
            try delete("two", before)
        }
    }

    @Test func capabilitiesAreThoseOfEachSet() throws {
        let before = try leftovers()
        func sets(_ user: Int, noNewPrivileges: Bool, _ capabilities: [String: [String]], exec: [String] = []) throws -> [String] {
            try bundle.write(["/bin/sh", "-c", exec.isEmpty ? "grep Cap /proc/self/status" : "sleep 1000"]) { configuration in
                var process = configuration["process"] as? [String: Any] ?? [:]
                process["user"] = ["uid": user, "gid": user]
                process["noNewPrivileges"] = noNewPrivileges
                process["capabilities"] = capabilities
                configuration["process"] = process
            }
            let process = try create("one")
            #expect(try command(["start", "one"]).ending == .exited(0))
            var text = ""
            if exec.isEmpty {
                text = process.finish().text
            } else {
                text = try command(["exec"] + exec + ["one", "/bin/grep", "Cap", "/proc/self/status"]).text
                #expect(try command(["kill", "one", "KILL"]).ending == .exited(0))
                _ = process.finish()
            }
            #expect(try waits("one", for: "stopped"))
            try delete("one", before)
            // Inheritable, permitted, effective, bounding, ambient.
            return text.split(separator: "\n").compactMap { $0.split(separator: "\t").last.map { String($0.suffix(3)) } }
        }
        let (chown, kill) = (["CAP_CHOWN"], ["CAP_KILL"])
        // Nothing is ambient that isn't inheritable: others than root have none of it.
        #expect(
            try sets(1000, noNewPrivileges: false, ["bounding": chown, "permitted": chown, "ambient": chown]) == ["000", "000", "000", "001", "000"])
        #expect(
            try sets(1000, noNewPrivileges: true, ["bounding": chown + kill, "permitted": chown, "inheritable": chown, "ambient": chown])
                == ["001", "001", "001", "021", "001"])
        // Root's can't grow beyond what was permitted.
        #expect(
            try sets(0, noNewPrivileges: true, ["bounding": chown + kill, "permitted": chown, "effective": chown]) == [
                "000", "001", "001", "021", "000",
            ])
        #expect(try sets(0, noNewPrivileges: false, ["bounding": chown + kill]) == ["000", "021", "021", "021", "000"])
        #expect(
            try sets(1000, noNewPrivileges: true, ["bounding": chown, "permitted": chown, "inheritable": chown], exec: ["--cap", "CAP_CHOWN"])
                == ["001", "001", "001", "001", "001"])
    }

    @Test func whatIsSaidTwiceCountsOnce() throws {
        let before = try leftovers()
        try FileManager.default.createDirectory(atPath: bundle.root + "/sticky", withIntermediateDirectories: true)
        try FileManager.default.setAttributes([.posixPermissions: 0o1750], ofItemAtPath: bundle.root + "/sticky")
        func run(_ arguments: [String]) throws -> Outcome {
            try bundle.write(arguments) { configuration in
                var process = configuration["process"] as? [String: Any] ?? [:]
                process["env"] = ["A=1", "HOME=/other", "PATH=/bin", "A=2", "HOME="]
                configuration["process"] = process
                var mounts = configuration["mounts"] as? [[String: Any]] ?? []
                for place in ["/sticky", "/fresh"] { mounts.append(["destination": place, "type": "tmpfs", "source": "tmpfs"]) }
                configuration["mounts"] = mounts
            }
            return try command(["run", "--bundle", bundle.path, "one"])
        }
        expectOutput(try run(["/bin/cat", "/proc/self/environ"]), "PATH=/bin\0A=2\0HOME=/\0")
        #expect(try run(["/bin/stat", "-c", "%a", "/sticky", "/fresh"]).lines == ["1750", "755"])
        #expect(Leftovers.now(besides: swiftlet.directory.path) == before)
    }

    @Test func mountsAreAsWithRunc() throws {
        let before = try leftovers()
        for name in ["up/deep", "low"] {
            try FileManager.default.createDirectory(atPath: bundle.root + "/" + name, withIntermediateDirectories: true)
        }
        try Data("copied\n".utf8).write(to: URL(filePath: bundle.root + "/up/deep/file"))
        try FileManager.default.createSymbolicLink(atPath: bundle.root + "/up/link", withDestinationPath: "deep/file")
        let script = """
            cat /up/link; stat -c '%a %u:%g' /up/deep/file; echo changed >/up/deep/file; touch /low/x; ls /dev/null; touch /dev/x; grep -c ' /masked ' /proc/mounts
            """
        func write(_ change: (inout [String: Any]) -> Void = { _ in }) throws {
            try bundle.write(["/bin/sh", "-c", script]) { configuration in
                var mounts = configuration["mounts"] as? [[String: Any]] ?? []
                mounts[1]["options"] = ["nosuid", "mode=755", "ro"]
                // Before /proc is there.
                mounts.insert(["destination": "/up", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]], at: 0)
                mounts.append(["destination": "/low", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup", "ro"]])
                configuration["mounts"] = mounts
                var linux = configuration["linux"] as? [String: Any] ?? [:]
                linux["maskedPaths"] = ["/masked", "/masked"]
                configuration["linux"] = linux
                change(&configuration)
            }
        }
        try FileManager.default.createDirectory(atPath: bundle.root + "/masked", withIntermediateDirectories: true)
        try FileManager.default.setAttributes(
            [.posixPermissions: 0o640, .ownerAccountID: Project.isRoot ? 5 : getuid()], ofItemAtPath: bundle.root + "/up/deep/file")
        try write()
        let outcome = try command(["run", "--bundle", bundle.path, "one"])
        #expect(outcome.lines == ["copied", Project.isRoot ? "640 5:0" : "640 0:0", "/dev/null", "1"], "\(outcome)")
        #expect(
            outcome.errorText.contains("/low/x: Read-only file system") && outcome.errorText.contains("/dev/x: Read-only file system"), "\(outcome)")
        #expect(try String(contentsOfFile: bundle.root + "/up/deep/file", encoding: .utf8) == "copied\n")
        // Who asks for the kernel's knowledge finds it where it belongs.
        try FileManager.default.createSymbolicLink(atPath: bundle.root + "/proc2", withDestinationPath: "low")
        try write { configuration in
            var mounts = configuration["mounts"] as? [[String: Any]] ?? []
            mounts[1]["destination"] = "/proc2"
            configuration["mounts"] = mounts
        }
        try refuses(["create", "--bundle", bundle.path, "two"], "'proc' must be mounted on an ordinary directory")
        #expect(Leftovers.now(besides: swiftlet.directory.path) == before)
    }

    // MARK: Defaults

    @Test func theHostAndAnnotationsSetDefaults() throws {
        let before = try leftovers()
        let file = swiftlet.directory.path + "/config.toml"
        func run(_ text: String, _ annotations: [String: String] = [:]) throws -> Outcome {
            try Data(text.utf8).write(to: URL(filePath: file))
            try bundle.write(["/bin/sh", "-c", "grep -c ^processor /proc/cpuinfo; grep MemTotal /proc/meminfo"]) { $0["annotations"] = annotations }
            let environment = swiftlet.environment.merging(["SWIFTLET_CONFIG": file]) { $1 }
            return try TestProcess(
                [Project.program] + root + ["run", "--bundle", bundle.path, "one"], environment: environment, .noInput
            ).finish()
        }
        var lines = try run("# the host's\nvcpus = 2\nmemory = '128m'\n").lines
        #expect(lines.first == "2" && (Int(lines[1].filter(\.isNumber)) ?? 0) < 140_000, "\(lines)")
        lines = try run("vcpus = 2\n", ["io.swiftlet.vcpus": "3", "io.swiftlet.memory": "96m"]).lines
        #expect(lines.first == "3" && (Int(lines[1].filter(\.isNumber)) ?? 0) < 110_000, "\(lines)")
        let syntax = try run("vcpus = \n")
        #expect(syntax.ending == .exited(1) && syntax.errorText.contains("config.toml is no configuration: line 1, column 9"), "\(syntax)")
        let value = try run("vcpus = 99\n")
        #expect(value.ending == .exited(1) && value.errorText.contains("vcpus \"99\" is not from 1 to 64"), "\(value)")
        let kernel = try run("annotations = ['kernel']\n", ["io.swiftlet.kernel": "/nosuch"])
        #expect(kernel.errorText.contains("the kernel /nosuch cannot be opened: No such file or directory: check kernel in"), "\(kernel)")
        try FileManager.default.removeItem(atPath: file)
        #expect(Leftovers.now(besides: swiftlet.directory.path) == before)
    }

    // MARK: One command for all

    @Test func aBundleRunsInOneGo() throws {
        let before = try leftovers()
        try bundle.write(["/bin/sh", "-c", "cat; echo error >&2; exit 6"])
        let process = try swiftlet.start(root + ["run", "--bundle", bundle.path, "one"])
        process.send("data\n")
        process.closeInput()
        let outcome = process.finish()
        #expect(outcome.ending == .exited(6) && outcome.text == "data\n" && outcome.errorText == "error\n", "\(outcome)")
        try refuses(["state", "one"], "container does not exist")
        // Signals reach it. It waits for a child, which a signal interrupts, and for no timer: the lab loses some (docs/lab.md).
        try bundle.write(["/bin/sh", "-c", "trap 'exit 4' TERM; echo up; sleep 1000 & wait"])
        let trapped = try swiftlet.start(root + ["run", "--bundle", bundle.path, "one"], .noInput)
        #expect(trapped.sees("up\n"))
        trapped.signal(SIGTERM)
        #expect(trapped.finish().ending == .exited(4))
        // It goes on alone, and stays when it has ended.
        let detached = try swiftlet.start(root + ["run", "--detach", "--bundle", bundle.path, "two"], .noInput)
        #expect(detached.hasEnded(within: 150) && detached.sees("up\n"))
        #expect(try command(["kill", "two", "TERM"]).ending == .exited(0))
        #expect(try waits("two", for: "stopped"))
        try delete("two", before)
        let kept = try swiftlet.start(root + ["run", "--keep", "--bundle", bundle.path, "three"], .noInput)
        #expect(kept.sees("up\n"))
        kept.signal(SIGTERM)
        #expect(kept.finish().ending == .exited(4))
        #expect(try status("three") == "stopped")
        try delete("three", before)
    }

    @Test func theTemplateRuns() throws {
        let before = try leftovers()
        #expect(try command(["spec", "--bundle", bundle.path]).ending == .exited(0))
        try refuses(["spec", "--bundle", bundle.path], "exists. Remove it first")
        // A shell on a terminal that isn't one here.
        try refuses(["create", "--bundle", bundle.path, "one"], "cannot allocate tty")
        let url = URL(filePath: bundle.path + "/config.json")
        let text = try String(contentsOf: url, encoding: .utf8)
        try Data(text.replacing("\"terminal\": true", with: "\"terminal\": false").replacing("\"sh\"", with: "\"/bin/hostname\"").utf8).write(to: url)
        expectOutput(try command(["run", "--bundle", bundle.path, "one"]), "swiftlet\n")
        #expect(Leftovers.now(besides: swiftlet.directory.path) == before)
    }
}
