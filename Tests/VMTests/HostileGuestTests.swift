// A kernel of ours that attacks the VMM (Tests/HostileGuest), by itself and beside a container of somebody else: the host lives, the neighbour answers, the report names
// the fault, and nothing is left behind.
import Foundation
import Glibc
import Testing

/// What the hostile kernel is told to do; the numbers of hostile.c.
private struct Orders {
    enum End: UInt64 {
        case tripleFault, reset, halt, loop, executeRegisters, notifyForEver, printForEver
    }

    var seed: UInt64 = 1
    /// A bit for each kind: registers, ports, rings, storms of notifications, addresses that nobody answers, requests.
    var attacks: UInt64 = 0x3F
    var rounds: UInt64 = 300
    var end = End.tripleFault

    /// A kernel with these orders in it.
    func kernel(in directory: TestDirectory) throws -> String {
        var bytes = Array(try Data(contentsOf: URL(filePath: Project.directory + "/build/test-hostile/hostile.elf")))
        let magic = Array("HOSTILE-ORDERS-\0".utf8)
        let start = try #require((0..<bytes.count - magic.count).first { bytes[$0] == magic[0] && bytes[$0..<$0 + magic.count].elementsEqual(magic) })
        for (index, word) in [seed, attacks, rounds, end.rawValue].enumerated() {
            for byte in 0..<8 { bytes[start + magic.count + 8 * index + byte] = UInt8(truncatingIfNeeded: word >> UInt64(8 * byte)) }
        }
        return try directory.file("hostile-\(seed)", bytes)
    }
}

/// A container that somebody else runs on the same host, and that must not notice anything.
private final class Neighbour {
    private let process: TestProcess
    private var questions = 0

    init(_ swiftlet: Swiftlet) throws {
        process = try swiftlet.start(["run", "-i", Project.busybox, "/bin/sh", "-c", "echo up; while read word; do echo \"heard $word\"; done"])
        #expect(process.sees("up\n"))
    }

    func answers() -> Bool {
        questions += 1
        process.send("question\(questions)\n")
        return process.sees("heard question\(questions)\n")
    }

    func finish() {
        process.closeInput()
        let outcome = process.finish()
        #expect(outcome.ending == .exited(0), "\(outcome)")
    }
}

extension VirtualMachines {
    @Suite struct HostileGuests {
        let swiftlet: Swiftlet

        init() throws {
            swiftlet = try Swiftlet()
            // Its layers are unpacked before: the machine for that would run the hostile kernel.
            expectOutput(try swiftlet.run([], ["/bin/echo", "fine"]), "fine\n")
        }

        private func attack(_ orders: Orders, _ location: SourceLocation = #_sourceLocation) throws -> Outcome {
            try swiftlet.run(["--kernel", try orders.kernel(in: swiftlet.directory)], ["/bin/true"], location)
        }

        /// All attacks, one after another at random, by several seeds, with a neighbour on the host.
        @Test func attacksEverything() throws {
            let neighbour = try Neighbour(try Swiftlet())
            for seed in 1...4 as ClosedRange<UInt64> {
                let path = try Orders(seed: seed).kernel(in: swiftlet.directory)
                let outcome = try swiftlet.start(["run", "--kernel", path, Project.busybox, "/bin/true"], .noInput).finish()
                expectTripleFault(outcome)
                #expect(neighbour.answers(), "after seed \(seed)")
            }
            neighbour.finish()
        }

        /// One kind of attack only, so that none hides behind the end that another one brings.
        @Test(arguments: [1, 2, 4, 8, 16, 32] as [UInt64]) func attacksInOneWay(kind: UInt64) throws {
            expectTripleFault(try attack(Orders(seed: 100 + kind, attacks: kind)))
        }

        @Test func endsByReset() throws {
            let outcome = try attack(Orders(seed: 7, attacks: 3, end: .reset))
            #expect(outcome.ending == .exited(125), "\(outcome)")
            #expect(outcome.errorText.hasPrefix("swiftlet: the guest reset its machine before the container ended"), "\(outcome)")
            #expect(outcome.errorText.contains("hostile: done"), "\(outcome)")
        }

        /// Instructions out of a device's registers.
        @Test func executesRegisters() throws {
            let outcome = try attack(Orders(seed: 8, attacks: 0, rounds: 0, end: .executeRegisters))
            #expect(outcome.ending == .exited(125), "\(outcome)")
            #expect(outcome.errorText.contains("KVM could not execute an instruction") || outcome.errorText.contains("triple fault"), "\(outcome)")
            #expect(outcome.errorText.contains("rip="), "\(outcome)")
        }

        /// What never ends by itself still hears its user, and leaves nothing when it is killed.
        @Test(arguments: [(2, SIGTERM), (3, SIGKILL), (5, SIGTERM), (6, SIGTERM), (6, SIGKILL)] as [(UInt64, Int32)])
        func runsOn(end: UInt64, signal: Int32) throws {
            let neighbour = try Neighbour(try Swiftlet())
            let end = try #require(Orders.End(rawValue: end))
            let path = try Orders(seed: 9, rounds: 20, end: end).kernel(in: swiftlet.directory)
            let before = Leftovers.now(besides: swiftlet.directory.path)
            let process = try swiftlet.start(["run", "--kernel", path, Project.busybox, "/bin/true"], .noInput)
            #expect(!process.hasEnded(within: 5))
            #expect(neighbour.answers())
            process.signal(signal)
            let outcome = process.finish(within: 60)
            #expect(outcome.ending == (signal == SIGTERM ? .exited(128 + SIGTERM) : .signalled(SIGKILL)), "\(outcome)")
            #expect(outcome.error.allSatisfy { $0 >= 0x20 || $0 == 0x0A }, "\(outcome)")
            // After SIGKILL the VMM dies with its parent, a moment later, and the next machine removes the cgroup.
            expectOutput(try swiftlet.start(["run", Project.busybox, "/bin/echo", "next"], .noInput).finish(), "next\n")
            let isClean = settled { Leftovers.now(besides: swiftlet.directory.path) == before }
            #expect(isClean, "left behind: \(Leftovers.now(besides: swiftlet.directory.path)), before: \(before)")
            neighbour.finish()
        }

        private func settled(_ condition: () -> Bool) -> Bool {
            for _ in 0..<500 {
                if condition() { return true }
                usleep(10_000)
            }
            return false
        }

        /// The kernel's last instruction, UD2, has no handler.
        private func expectTripleFault(_ outcome: Outcome, location: SourceLocation = #_sourceLocation) {
            #expect(outcome.ending == .exited(125), "\(outcome)", sourceLocation: location)
            #expect(outcome.text == "", "\(outcome)", sourceLocation: location)
            #expect(outcome.errorText.hasPrefix("swiftlet: the guest's CPU 0 took a triple fault"), "\(outcome)", sourceLocation: location)
            // AMD's processors forget everything.
            let isExplained = outcome.errorText.contains("instruction bytes: 0f 0b") || outcome.errorText.contains("kept none of its registers")
            #expect(isExplained, "\(outcome)", sourceLocation: location)
            #expect(outcome.error.allSatisfy { $0 >= 0x20 || $0 == 0x0A }, "control characters: \(outcome)", sourceLocation: location)
        }
    }
}
