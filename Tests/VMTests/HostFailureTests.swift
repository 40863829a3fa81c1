// System calls of `swiftlet-vmm` that fail (Tests/FaultInjector): each of a sample of all that it makes, from its first to its last, with an errno that it can return. The VMM
// goes on as if nothing were, or ends with a documented status and a sentence; it never crashes or hangs, and what stands in the way of its jail keeps the guest from starting.
import Foundation
import Glibc
import Testing

/// What the injector did.
private struct Injection {
    /// With the first argument, where that says what it is for.
    let call: String
    let errno: Int32
    /// System calls that could have failed.
    let total: Int
    let outcome: Outcome

    var name: String { unsafe "\(call): \(String(cString: strerror(errno)))" }
}

extension VirtualMachines {
    @Suite struct HostFailures {
        let swiftlet: Swiftlet

        init() throws {
            swiftlet = try Swiftlet()
            // Unpacked before: else there would be two machines.
            expectOutput(try swiftlet.run([], ["/bin/echo", "fine"]), "fine\n")
        }

        /// SWIFTLET_FAULT_SAMPLES of them; SWIFTLET_FAULT_FIRST shifts which.
        private static func number(_ name: String) -> Int? { ProcessInfo.processInfo.environment[name].flatMap(Int.init) }

        private func inject(_ number: Int, _ choice: Int) throws -> Injection {
            let report = try swiftlet.directory.file("report")
            var injected = swiftlet
            injected.starter = [Project.directory + "/build/test-hostile/inject", "swiftlet-vmm", String(number), String(choice), report]
            let outcome = try injected.run([], ["/bin/echo", "fine"])
            let words = try String(contentsOfFile: report, encoding: .utf8).split(whereSeparator: \.isWhitespace)
            try #require(words.count == 4, "\(outcome)")
            let call = words[0] == "prctl" ? "prctl \(words[2])" : String(words[0])
            return Injection(call: call, errno: Int32(words[1]) ?? 0, total: Int(words[3]) ?? 0, outcome: outcome)
        }

        /// Without these there is no jail. PR_SET_NO_NEW_PRIVS is none of them: it is asked for twice, by libcap and by us.
        private static let walls: Set<String> = [
            "capset", "chdir", "landlock_restrict_self", "mount", "pivot_root", "seccomp", "setgroups", "setresgid", "setresuid", "umount2",
            "unshare",
            // PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_SECUREBITS
            "prctl 4", "prctl 24", "prctl 28",
        ]

        /// All calls of a run that can fail, in their order.
        private func calls() throws -> [String] {
            let report = try swiftlet.directory.file("report")
            var injected = swiftlet
            injected.starter = [Project.directory + "/build/test-hostile/inject", "swiftlet-vmm", "0", "0", report]
            expectOutput(try injected.run([], ["/bin/echo", "fine"]), "fine\n")
            let lines = try String(contentsOfFile: report, encoding: .utf8).split(separator: "\n").dropLast()
            return lines.map { $0.hasPrefix("prctl ") ? String($0) : String($0.prefix { $0 != " " }) }
        }

        /// Each wall, where there are many of a kind the first and the last. Threads take turns, so another call close by may be hit instead.
        @Test func noGuestStartsWithoutAWall() throws {
            let calls = try calls()
            var hit: Set<String> = []
            for wall in Self.walls.sorted() {
                for index in Set([calls.firstIndex(of: wall), calls.lastIndex(of: wall)].compactMap { $0 }) {
                    let injection = try inject(index + 1, 0)
                    check(injection, index + 1)
                    hit.insert(injection.call)
                }
            }
            #expect(hit.intersection(Self.walls).count >= 8, "\(hit)")
        }

        /// Threads wait for one another by eventfds while the machine is made: who can't wake another ends the machine.
        @Test func whoCannotWakeAnotherEndsTheMachine() throws {
            let writes = try calls().enumerated().filter { $0.element == "write" }.map(\.offset)
            #expect(writes.count >= 4)
            for index in writes.prefix(6) { check(try inject(index + 1, 0), index + 1) }
        }

        /// What the agent says and hears goes through vsock: where a call of that fails, nobody waits for a word that was lost.
        @Test func noWordIsWaitedForThatWasLost() throws {
            let calls = try calls().enumerated()
            let words = calls.filter { ["sendto", "sendmsg"].contains($0.element) }.suffix(8)
            let watches = calls.filter { $0.element == "epoll_ctl" }.suffix(8)
            #expect(words.count + watches.count >= 8)
            for (index, _) in words + watches { check(try inject(index + 1, 0), index + 1) }
        }

        @Test func everySystemCallMayFail() throws {
            let untouched = try inject(.max, 0)
            #expect(untouched.call == "none")
            expectOutput(untouched.outcome, "fine\n")
            let samples = Self.number("SWIFTLET_FAULT_SAMPLES") ?? 20
            let first = Self.number("SWIFTLET_FAULT_FIRST") ?? 0
            for sample in 0..<samples {
                // Not all of them are alike: the first third is what makes the machine.
                let part = Double(sample) / Double(samples)
                let number = 1 + (first + Int(part * sqrt(part) * Double(untouched.total))) % untouched.total
                check(try inject(number, first + sample), number)
            }
        }

        private func check(_ injection: Injection, _ number: Int) {
            let (outcome, name) = (injection.outcome, "call \(number), \(injection.name)")
            print("call \(number) of \(injection.total), \(injection.name): \(outcome.ending), \(outcome.errorText.prefix(200))")
            switch outcome.ending {
            case .exited(0):
                // Standard output may be what failed.
                if !["write", "sendmsg", "sendto", "recvmsg"].contains(injection.call) { #expect(outcome.text == "fine\n", "\(name): \(outcome)") }
                #expect(!Self.walls.contains(injection.call) || injection.errno == EINTR, "a wall was missing: \(name)")
            case .exited(125):
                #expect(outcome.errorText.hasPrefix("swiftlet: ") && outcome.errorText.hasSuffix("\n"), "\(name): \(outcome)")
                for word in ["Optional(", "Error(", "SystemError", "Fatal", "errno"] {
                    #expect(!outcome.errorText.contains(word), "\(name): \(outcome)")
                }
            // The command can't be read from the image's disk.
            case .exited(126):
                #expect(
                    injection.call == "preadv" && outcome.errorText.hasPrefix("swiftlet: ") && outcome.errorText.hasSuffix("\n"),
                    "\(name): \(outcome)")
            // The container's process lost its output.
            case .exited(141): #expect(["write", "sendmsg", "sendto", "recvmsg", "shutdown"].contains(injection.call), "\(name): \(outcome)")
            // What only the end of its parent brings about: nobody is left who could be told.
            case .exited(137):
                #expect(["recvmsg", "sendmsg"].contains(injection.call) && [ECONNRESET, EPIPE].contains(injection.errno), "\(name): \(outcome)")
            default: Issue.record("\(name): \(outcome)")
            }
        }
    }
}
