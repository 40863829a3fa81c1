// The options of `swiftlet run`, as they arrive in the container.
import Foundation
import Testing

extension VirtualMachines {
    @Suite struct Options {
        let swiftlet: Swiftlet

        init() throws { swiftlet = try Swiftlet() }

        @Test func environment() throws {
            let file = try swiftlet.directory.file("variables", "# a comment\nFROM_FILE=in the file\nOVERRIDDEN=file\n\nTAKEN\nABSENT\n")
            var swiftlet = swiftlet
            swiftlet.environment["TAKEN"] = "the caller's"
            swiftlet.environment["ALSO_TAKEN"] = "too"
            let outcome = try swiftlet.run(
                [
                    "--hostname", "box", "--env-file", file, "-e", "A=1", "-e", "BLANKS=two  words", "-e", "ALSO_TAKEN", "--env=OVERRIDDEN=option",
                    "-eX=",
                ],
                ["/usr/bin/env"])
            #expect(outcome.ending == .exited(0), "\(outcome)")
            #expect(
                outcome.lines.sorted() == [
                    "A=1", "ALSO_TAKEN=too", "BLANKS=two  words", "FROM_FILE=in the file", "HOME=/root", "HOSTNAME=box", "OVERRIDDEN=option",
                    "PATH=/bin:/sbin:/usr/bin:/usr/sbin", "TAKEN=the caller's", "X=",
                ])
        }

        @Test func imageVariableIsRemoved() throws {
            let outcome = try swiftlet.run(["-e", "GREETING", "-e", "EMPTY=full"], image: configured, ["ignored"])
            #expect(outcome.ending == .exited(0), "\(outcome)")
            let script = try swiftlet.run(
                ["-e", "GREETING", "-e", "EMPTY=full", "--entrypoint", "/bin/sh"], image: configured,
                ["-c", "echo ${GREETING-unset} $EMPTY"])
            expectOutput(script, "unset full\n")
        }

        private var configured: String { "oci:" + Project.basic("busybox") + ":configured" }

        @Test(arguments: [
            ("alice", "uid=1234(alice) gid=2345(alice) groups=10(wheel),44(video),2345(alice) /home/alice"),
            ("1234", "uid=1234(alice) gid=2345(alice) groups=10(wheel),44(video),2345(alice) /home/alice"),
            ("alice:other", "uid=1234(alice) gid=50(other) groups=50(other) /home/alice"),
            ("4321:5432", "uid=4321 gid=5432 groups=5432 /"),
            ("nobody:10", "uid=65534(nobody) gid=10(wheel) groups=10(wheel) /"),
        ])
        func user(name: String, identity: String) throws {
            expectOutput(try swiftlet.shell(["-u", name], "echo $(id) $HOME"), identity + "\n")
        }

        @Test(arguments: ["missing", "alice:missing", "alice:wheel:more", "99999999999"])
        func userThatDoesNotExist(name: String) throws {
            let outcome = try swiftlet.run(["-u", name], ["/bin/true"])
            #expect(outcome.ending == .exited(125) || outcome.ending == .exited(126), "\(outcome)")
            #expect(outcome.errorText.hasPrefix("swiftlet: "), "\(outcome)")
            #expect(outcome.errorText.contains(name.contains("missing") ? "missing" : name.hasSuffix("more") ? "more" : name), "\(outcome)")
            #expect(outcome.errorText.split(separator: "\n").count == 1, "\(outcome)")
        }

        @Test func workingDirectory() throws {
            expectOutput(try swiftlet.shell(["-w", "/new/deep directory"], "pwd; ls -la .. | grep -c 'deep directory'"), "/new/deep directory\n1\n")
            let file = try swiftlet.run(["-w", "/bin/busybox"], ["/bin/true"])
            #expect(file.ending == .exited(125) || file.ending == .exited(126), "\(file)")
            #expect(file.errorText.contains("/bin/busybox"), "\(file)")
        }

        /// Many options that don't meet each other in one machine.
        @Test func machineAndFileSystems() throws {
            let script = """
                hostname; cat /etc/hostname; grep -c 'box.example' /etc/hosts
                touch /file 2>&1; mkdir -p /etc/x 2>&1
                touch /scratch/file && ls /scratch; stat -c '%a' /scratch; df -k /scratch | awk 'END { print $2 }'
                dd if=/dev/zero of=/scratch/full bs=1k count=4000 2>&1 | grep -o 'No space left on device'
                cp /bin/script /plain/; /plain/script 2>&1; cp /bin/script /run-here/; /run-here/script works
                nproc; awk '/MemTotal/ { print ($2 > 250000 && $2 <= 307200) }' /proc/meminfo
                grep ' /scratch ' /proc/mounts | grep -o nosuid
                """
            let outcome = try swiftlet.shell(
                [
                    "--rm", "--name", "all-options", "--hostname", "box.example", "--read-only", "--tmpfs", "/scratch:size=1m,mode=1770",
                    "--tmpfs=/plain",
                    "--tmpfs", "/run-here:exec", "--cpus", "3", "--memory", "300m", "--log-level", "error",
                ], script)
            expectOutput(
                outcome,
                """
                box.example
                box.example
                1
                touch: /file: Read-only file system
                mkdir: can't create directory '/etc/x': Read-only file system
                file
                1770
                1024
                No space left on device
                /bin/sh: /plain/script: Permission denied
                script works
                3
                1
                nosuid

                """)
        }

        /// The lab's one CPU needs a second to bring each of the machine's up.
        @Test(arguments: [("1", "1"), ("1.5", "2"), Project.isLab ? ("12", "12") : ("64", "64")])
        func cpus(option: String, count: String) throws {
            expectOutput(try swiftlet.shell(["--cpus", option], "nproc; grep -c ^processor /proc/cpuinfo"), "\(count)\n\(count)\n")
        }

        @Test(arguments: [("64m", 30_000, 65_536), ("1g", 950_000, 1_048_576), ("5g", 4_900_000, 5_242_880)])
        func memory(option: String, atLeast: Int, atMost: Int) throws {
            let outcome = try swiftlet.shell(["--memory", option], "awk '/MemTotal/ { print $2 }' /proc/meminfo")
            let total = try #require(Int(outcome.text.trimmingCharacters(in: .newlines)), "\(outcome)")
            #expect((atLeast...atMost).contains(total))
        }

        @Test func entrypoint() throws {
            expectOutput(try swiftlet.run(["--entrypoint", "/bin/echo"], image: configured, ["a", "b  c"]), "a b  c\n")
            // The image's command was meant for the image's entrypoint.
            expectOutput(try swiftlet.run(["--entrypoint", "/bin/pwd"], image: configured, []), "/made/by/run\n")
            expectOutput(try swiftlet.run(["--entrypoint", ""], image: configured, ["/bin/echo", "alone"]), "alone\n")
        }

        @Test func argumentsArriveAsTheyAre() throws {
            let words = ["", " blanks ", "-i", "--", "quote\"'s", "a\nline", "ünïcödé", "$HOME", "*", "\\"]
            let outcome = try swiftlet.run([], ["/bin/probe", "arguments"] + words)
            expectOutput(outcome, words.map { "[\($0)]\n" }.joined())
        }

        @Test func nameIsReservedWhileItRuns() throws {
            let first = try swiftlet.start(["run", "-i", "--name", "twins", Project.busybox, "/bin/sh", "-c", "echo up; read line"])
            #expect(first.sees("up\n"))
            expectRefusal(try swiftlet.run(["--name", "twins"], ["/bin/true"]), naming: ["twins", "in use"])
            first.send("end\n")
            #expect(first.finish().ending == .exited(0))
            expectOutput(try swiftlet.run(["--name", "twins"], ["/bin/echo", "free again"]), "free again\n")
        }

        @Test(arguments: ["vmlinux", "bzImage"])
        func kernel(name: String) throws {
            let file = name == "vmlinux" ? Project.share + "/vmlinux" : Project.bzImage
            try #require(FileManager.default.fileExists(atPath: file), "scripts/test puts it there")
            expectOutput(try swiftlet.shell(["--kernel", file], "uname -s"), "Linux\n")
        }

        @Test func timelineFile() throws {
            let path = swiftlet.directory.path + "/timeline.json"
            let outcome = try swiftlet.start(["run", "--timeline=" + path, Project.busybox, "/bin/echo", "x"], .noInput).finish()
            expectOutput(outcome, "x\n")
            let text = try String(contentsOfFile: path, encoding: .utf8)
            let document = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
            let phases = try #require(document["phases"] as? [[String: Any]])
            let names = phases.compactMap { $0["phase"] as? String }
            let times = phases.compactMap { $0["at"] as? Int }
            #expect(
                names == [
                    "launched", "vmm-started", "configured", "memory-mapped", "kvm-ready", "first-instruction", "init-started", "agent-connected",
                    "root-ready",
                    "process-executed", "first-output", "process-exited", "exit",
                ] || names.sorted() == Self.allPhases.sorted(), "\(names)")
            #expect(times.count == names.count && times == times.sorted() && times.first == 0, "\(times)")
        }

        /// Two exits for each were most of what a start had behind PID 1: 86.
        @Test func interruptsDoNotLeaveTheGuest() throws {
            let path = swiftlet.directory.path + "/timeline.json"
            let outcome = try swiftlet.start(["run", "--timeline=" + path, Project.busybox, "/bin/echo", "x"], .noInput).finish()
            expectOutput(outcome, "x\n")
            let document = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: path))) as? [String: Any]
            let phases = try #require(document?["phases"] as? [[String: Any]])
            func exits(_ name: String) -> Int? { phases.first { $0["phase"] as? String == name }?["vm_exits"] as? Int }
            let (first, last) = (try #require(exits("init-started")), try #require(exits("exit")))
            #expect(last > first && last - first < 40, "\(phases)")
        }

        private static let allPhases = [
            "launched", "vmm-started", "configured", "memory-mapped", "kvm-ready", "first-instruction", "init-started", "agent-connected",
            "root-ready",
            "process-executed", "first-output", "process-exited", "exit",
        ]

        @Test func timelineInWords() throws {
            let outcome = try swiftlet.run(["--timeline"], ["/bin/echo", "x"])
            #expect(outcome.ending == .exited(0) && outcome.text == "x\n", "\(outcome)")
            for phase in Self.allPhases { #expect(outcome.errorText.contains(phase), "\(outcome)") }
        }

        @Test func logLevels() throws {
            let debug = try swiftlet.run(["--log-level", "debug"], ["/bin/echo", "x"])
            #expect(debug.ending == .exited(0) && debug.text == "x\n", "\(debug)")
            #expect(debug.errorText.contains("Linux version"), "\(debug)")
            for level in ["error", "warn", "info"] {
                let outcome = try swiftlet.run(["--log-level", level], ["/bin/echo", "x"])
                expectOutput(outcome, "x\n")
            }
        }

        @Test func limitsAndStopSignal() throws {
            let outcome = try swiftlet.run(["--ulimit", "nofile=100:200", "--ulimit", "core=0"], ["/bin/probe", "limits"])
            #expect(outcome.lines.contains("7 100 200"), "\(outcome)")
            #expect(outcome.lines.contains("4 0 0"), "\(outcome)")
            let process = try swiftlet.start(["run", "--stop-signal", "SIGQUIT", Project.busybox, "/bin/probe", "signals"], .noInput)
            #expect(process.sees("ready\n"))
            process.signal(SIGTERM)
            #expect(process.sees("signal 3\n"))
            process.signal(SIGKILL)
            #expect(process.finish().ending == .signalled(SIGKILL))
        }

        /// Mistakes are told before any machine is started.
        @Test(arguments: [
            (["--unknown"], "--unknown"), (["-Z"], "-Z"), (["--cpus", "0"], "--cpus"), (["--cpus", "65"], "64"), (["--cpus", "many"], "many"),
            (["--memory", "lots"], "lots"), (["--memory", "16m"], "16m"), (["--memory", "2t"], "2t"), (["-w", "relative"], "relative"),
            (["--tmpfs", "relative"], "relative"), (["--tmpfs", "/x:colour=red"], "colour"), (["--name", "-bad"], "-bad"),
            (["--name", "a b"], "a b"),
            (["--log-level", "loud"], "loud"), (["-e", "=x"], "=x"), (["--hostname", "a b"], "a b"), (["--storage-size", "1k"], "1k"),
            (["--ulimit", "files=1"], "files"), (["--stop-signal", "SIGNONE"], "SIGNONE"),
            (["--cap-add", "FLY"], "FLY"), (["--security-opt", "apparmor=x"], "apparmor"), (["--pids-limit", "few"], "few"),
        ])
        func mistakes(options: [String], word: String) throws {
            expectRefusal(try swiftlet.run(options, ["/bin/true"]), naming: [word], hint: true)
        }

        @Test func moreMistakes() throws {
            expectRefusal(try swiftlet(["run"]), naming: ["no image"], hint: true)
            expectRefusal(try swiftlet(["run", "--memory"]), naming: ["--memory", "value"], hint: true)
            expectRefusal(try swiftlet.run(["--env-file", "/does/not/exist"], ["/bin/true"]), naming: ["/does/not/exist", "--env-file"])
            expectRefusal(try swiftlet.run(["-it"], ["/bin/true"]), naming: ["terminal", "-t"])
            expectRefusal(try swiftlet.run(["--timeline=/does/not/exist"], ["/bin/true"]), naming: ["/does/not/exist", "--timeline"])
            let file = try swiftlet.directory.file("variables", "A=1\nB C=2\n")
            expectRefusal(try swiftlet.run(["--env-file", file], ["/bin/true"]), naming: [file, "line 2", "B C"])
        }

        @Test(arguments: [
            "oci:busybox", "oci:busybox:latest", "busybox", "busybox:latest", "./busybox:@0", "oci-archive:busybox.oci.tar", "busybox.oci.tar:latest",
            "docker-archive:busybox.docker.tar", "busybox.docker.tar", "docker-archive:busybox.docker.tar:example.org/busybox:latest",
        ])
        func imageNames(name: String) throws {
            var swiftlet = swiftlet
            swiftlet.workingDirectory = Project.basic("")
            // A layout of several images needs a name.
            if ["oci:busybox", "busybox"].contains(name) {
                expectRefusal(try swiftlet.run(image: name, ["/bin/true"]), naming: ["busybox", "several images", "latest"])
            } else {
                expectOutput(try swiftlet.run(image: name, ["/bin/echo", "found"]), "found\n")
            }
        }
    }
}
