// Standard streams, terminals, signals and exit statuses.
import Foundation
import Glibc
import Testing

extension VirtualMachines {
    @Suite struct Streams {
        let swiftlet: Swiftlet
        private static let allBytes = (0...255).map { UInt8($0) }

        init() throws { swiftlet = try Swiftlet() }

        @Test func outputsAreSeparateAndCarryEveryByte() throws {
            let outcome = try swiftlet.run([], ["/bin/probe", "bytes"])
            #expect(outcome.ending == .exited(0))
            #expect(outcome.output == Self.allBytes)
            #expect(outcome.error == Self.allBytes.reversed())
        }

        @Test func inputCarriesEveryByteAndItsEnd() throws {
            let bytes = Array((0..<100).map { _ in Self.allBytes }.joined())
            let outcome = try swiftlet.run(["-i"], ["/bin/cat"], input: bytes)
            #expect(outcome.ending == .exited(0))
            #expect(outcome.output == bytes)
            #expect(outcome.errorText == "")
        }

        @Test func inputIsEmptyUnlessAskedFor() throws {
            let process = try swiftlet.start(["run", Project.busybox, "/bin/sh", "-c", "cat; readlink /proc/self/fd/0; echo end"])
            process.send("not for the container\n")
            expectOutput(process.finish(), "/dev/null\nend\n")
        }

        @Test func inputIsInteractive() throws {
            let process = try swiftlet.start(["run", "-i", Project.busybox, "/bin/cat"])
            for line in ["first\n", "second\n", "third\n"] {
                process.send(line)
                #expect(process.sees(line))
            }
            process.closeInput()
            expectOutput(process.finish(), "first\nsecond\nthird\n")
        }

        /// Who starts a container with -i need not close its input before it ends.
        @Test func endDoesNotWaitForInput() throws {
            let process = try swiftlet.start(["run", "-i", Project.busybox, "/bin/sh", "-c", "echo done; exit 3"])
            let outcome = process.finish(within: 60)
            #expect(outcome.ending == .exited(3) && outcome.text == "done\n", "\(outcome)")
        }

        @Test func endDoesNotWaitForBackgroundProcesses() throws {
            let outcome = try swiftlet.shell([], "sleep 1000 & echo started; exit 4")
            #expect(outcome.ending == .exited(4) && outcome.text == "started\n", "\(outcome)")
        }

        @Test func readerThatIsGone() throws {
            var pipeline = swiftlet
            pipeline.starter = ["/bin/bash", "-c", "\"$@\" | head -n 2; echo ${PIPESTATUS[0]}", "bash"]
            let outcome = try pipeline.run([], ["/bin/sh", "-c", "yes; echo status $? >&2; exit 9"])
            // The guest's writer is told, as by any pipe: 141 is SIGPIPE.
            #expect(outcome.text == "y\ny\n9\n", "\(outcome)")
            #expect(outcome.errorText == "status 141\n", "\(outcome)")
        }

        @Test func closedStandardStreams() throws {
            var closed = swiftlet
            closed.starter = ["/bin/bash", "-c", "\"$@\" <&- >&-", "bash"]
            let outcome = try closed.shell([], "echo into the void; echo told >&2; exit 5")
            #expect(outcome.ending == .exited(5) && outcome.errorText == "told\n", "\(outcome)")
        }

        private func checksum(of command: String) throws -> String {
            let outcome = try TestProcess(["/bin/bash", "-c", command], environment: swiftlet.environment, .noInput).finish(within: 300)
            return String(outcome.text.prefix(64))
        }

        @Test func manyBytesOut() throws {
            let expected = try checksum(of: "\(Project.basic("probe")) pump 200000000 | sha256sum")
            var pipeline = swiftlet
            pipeline.starter = ["/bin/bash", "-o", "pipefail", "-c", "\"$@\" | sha256sum", "bash"]
            let outcome = try pipeline(["run", Project.busybox, "/bin/probe", "pump", "200000000"], within: 400)
            expectOutput(outcome, expected + "  -\n")
        }

        @Test func manyBytesIn() throws {
            let expected = try checksum(of: "\(Project.basic("probe")) pump 200000000 | sha256sum")
            var pipeline = swiftlet
            pipeline.starter = ["/bin/bash", "-o", "pipefail", "-c", "\(Project.basic("probe")) pump 200000000 | \"$@\"", "bash"]
            let outcome = try pipeline(["run", "-i", Project.busybox, "/usr/bin/sha256sum"], within: 400)
            expectOutput(outcome, expected + "  -\n")
        }
    }

    @Suite struct Terminals {
        let swiftlet: Swiftlet

        init() throws { swiftlet = try Swiftlet() }

        @Test func terminalInside() throws {
            let process = try swiftlet.start(["run", "-it", Project.busybox, "/bin/probe", "terminal"], .terminal(rows: 37, columns: 111))
            let outcome = process.finish()
            #expect(outcome.ending == .exited(0))
            #expect(outcome.text == "tty 111 size 37x111 echo 1 canonical 1 session 1 foreground 1 name /dev/pts/0\r\n", "\(outcome)")
        }

        @Test func terminalWithoutInput() throws {
            let outcome = try swiftlet.run(["-t"], ["/bin/sh", "-c", "tty; echo $TERM; echo to stderr >&2; exit 6"])
            #expect(outcome.ending == .exited(6) && outcome.text == "/dev/pts/0\r\nxterm\r\nto stderr\r\n", "\(outcome)")
        }

        @Test func noTerminalWithoutAsking() throws {
            let process = try swiftlet.start(["run", "-i", Project.busybox, "/bin/probe", "terminal"], .terminal(rows: 24, columns: 80))
            let outcome = process.finish()
            #expect(outcome.text.hasPrefix("tty 000 size 0x0"), "\(outcome)")
        }

        @Test func rawModeAndSizeFollow() throws {
            let process = try swiftlet.start(["run", "-it", Project.busybox, "/bin/probe", "size"], .terminal(rows: 24, columns: 80))
            #expect(process.terminalModes.c_lflag & UInt32(ICANON) != 0)
            #expect(process.sees("size 24x80\r\n"))
            #expect(process.terminalModes.c_lflag & UInt32(ICANON | ECHO | ISIG) == 0)
            process.resize(rows: 50, columns: 132)
            #expect(process.sees("size 50x132\r\n"))
            process.resize(rows: 1, columns: 65535)
            #expect(process.sees("size 1x65535\r\n"))
            // Bytes that a terminal in its ordinary mode would keep to itself.
            for byte: UInt8 in [3, 4, 13, 17, 19, 26, 28, 127, 255] {
                process.send([byte])
                #expect(process.sees("byte \(byte)\r\n"))
            }
            process.send("q")
            #expect(process.hasEnded(within: 60))
            #expect(process.terminalModes.c_lflag & UInt32(ICANON | ECHO | ISIG) == UInt32(ICANON | ECHO | ISIG))
            #expect(process.finish().ending == .exited(0))
        }

        @Test func interruptKeyReachesTheForegroundProcess() throws {
            let process = try swiftlet.start(
                ["run", "-it", Project.busybox, "/bin/sh", "-c", "trap : INT; /bin/probe sleep; echo status $?; read line; echo \"<$line>\""],
                .terminal(rows: 24, columns: 80))
            #expect(process.sees("sleeping\r\n"))
            process.send([3])
            #expect(process.sees("status 130\r\n"))
            // Erased by DEL, ended by carriage return: the guest's line discipline is at work.
            process.send("typo\u{7f}ed\r")
            #expect(process.sees("<typed>\r\n"))
            #expect(process.finish().ending == .exited(0))
        }

        @Test func errorRestoresTheTerminal() throws {
            let process = try swiftlet.start(["run", "-it", Project.busybox, "/missing"], .terminal(rows: 24, columns: 80))
            #expect(process.hasEnded(within: 60))
            #expect(process.terminalModes.c_lflag & UInt32(ICANON | ECHO | ISIG) == UInt32(ICANON | ECHO | ISIG))
            let outcome = process.finish()
            #expect(outcome.ending == .exited(127) && outcome.text.contains("/missing"), "\(outcome)")
        }
    }

    @Suite struct SignalsAndStatuses {
        let swiftlet: Swiftlet

        init() throws { swiftlet = try Swiftlet() }

        @Test func signalsAreForwarded() throws {
            let process = try swiftlet.start(["run", Project.busybox, "/bin/probe", "signals"], .noInput)
            #expect(process.sees("ready\n"))
            for number in [SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGCONT, SIGALRM, 35, 64] {
                process.signal(number)
                #expect(process.sees("signal \(number)\n"))
            }
            process.signal(SIGTERM)
            let outcome = process.finish()
            #expect(outcome.ending == .exited(40), "\(outcome)")
        }

        /// As with Docker: PID 1 ignores what it has no handler for.
        @Test func firstProcessIgnoresWhatItDoesNotHandle() throws {
            let process = try swiftlet.start(["run", "-i", Project.busybox, "/bin/cat"])
            process.send("up\n")
            #expect(process.sees("up\n"))
            for number in [SIGTERM, SIGINT, SIGUSR1] { process.signal(number) }
            process.send("still here\n")
            #expect(process.sees("still here\n"))
            process.closeInput()
            #expect(process.finish().ending == .exited(0))
        }

        @Test(arguments: [SIGTERM, SIGINT])
        func signalBeforeTheContainerRuns(number: Int32) throws {
            let before = Leftovers.now(besides: swiftlet.directory.path)
            let process = try swiftlet.start(["run", Project.busybox, "/bin/sleep", "1000"], .noInput)
            process.signal(number)
            let outcome = process.finish(within: 30)
            #expect(outcome.ending == .exited(128 + number) || outcome.ending == .signalled(number), "\(outcome)")
            #expect(Leftovers.now(besides: swiftlet.directory.path) == before)
        }

        @Test(arguments: [0, 1, 125, 126, 127, 128, 255])
        func exitStatus(code: Int32) throws {
            let outcome = try swiftlet.shell([], "exit \(code)")
            #expect(outcome.ending == .exited(code) && outcome.errorText == "", "\(outcome)")
        }

        /// 128 + n; what the first process's end takes with it is killed.
        @Test func signalsAsStatuses() throws {
            let crash = try swiftlet.run([], ["/bin/probe", "crash"])
            #expect(crash.ending == .exited(128 + SIGSEGV) && crash.text == "about to crash\n", "\(crash)")
            let child = try swiftlet.shell([], "probe crash; echo $?; sh -c 'kill -TERM $$'; echo $?; sh -c 'kill -KILL $$'; echo $?; exit 7")
            #expect(child.ending == .exited(7) && child.lines == ["about to crash", "139", "143", "137"], "\(child)")
        }

        @Test(arguments: [
            (["/bin/missing"], Int32(127), "/bin/missing"), (["missing"], 127, "missing"), (["./missing"], 127, "./missing"),
            (["/etc/text"], 126, "/etc/text"), (["/etc"], 126, "/etc"), (["/bin/damaged"], 126, "/bin/damaged"),
            (["/etc/text/file"], 126, "/etc/text/file"),
            (["/bin/orphan-script"], 127, "/bin/orphan-script"), ([""], 127, "\"\""),
        ])
        func commandsThatCannotBeExecuted(command: [String], status: Int32, name: String) throws {
            let outcome = try swiftlet.run([], command)
            if command == [""] || command == ["/etc/text/file"] {
                // Docker has either status here.
                #expect(outcome.ending == .exited(126) || outcome.ending == .exited(127), "\(outcome)")
                #expect(outcome.errorText.hasPrefix("swiftlet: ") && outcome.errorText.split(separator: "\n").count == 1, "\(outcome)")
            } else {
                expectRefusal(outcome, status, naming: [name])
            }
        }

        @Test func commandsAreFoundInThePath() throws {
            expectOutput(try swiftlet.run(["-e", "PATH=/nowhere:/bin"], ["script", "of", "mine"]), "script of mine\n")
            expectRefusal(try swiftlet.run(["-e", "PATH=/nowhere"], ["script"]), 127, naming: ["script"])
            expectRefusal(try swiftlet.run(["-u", "alice"], ["/root/secret"]), 126, naming: ["/root/secret"])
        }
    }
}
