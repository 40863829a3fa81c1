// Many starts and ends, eight at a time, killed at any instant: nothing of them stays on the host. SWIFTLET_SOAK says how many; `make soak N=1000` sets it.
import Foundation
import Glibc
import Synchronization
import Testing

extension VirtualMachines {
    @Suite struct Soak {
        let swiftlet: Swiftlet

        init() throws { swiftlet = try Swiftlet() }

        /// Takes a moment without a timer: those of guests in the lab may never come (docs/lab.md).
        private static let work = "echo begin; i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done; echo end"

        /// How a cycle ends.
        private enum End: CaseIterable { case byItself, terminated, killed, machineKilled }

        /// What the host has that a machine takes a share of.
        private struct Holdings: Equatable {
            let leftovers: Leftovers
            let namespaces: Int
            let loopDevices: Int
            let descriptors: Int

            init(besides directory: String) {
                let files = FileManager.default
                func names(_ path: String) -> [String] { (try? files.contentsOfDirectory(atPath: path)) ?? [] }
                leftovers = Leftovers.now(besides: directory)
                var seen: Set<String> = []
                for pid in names("/proc") where pid.allSatisfy(\.isNumber) {
                    for name in names("/proc/\(pid)/ns") {
                        if let target = try? files.destinationOfSymbolicLink(atPath: "/proc/\(pid)/ns/\(name)") { seen.insert(target) }
                    }
                }
                namespaces = seen.count
                loopDevices = names("/sys/block").filter { $0.hasPrefix("loop") && files.fileExists(atPath: "/sys/block/\($0)/loop") }.count
                descriptors = names("/proc/self/fd").count
            }
        }

        @Test func nothingStaysWhateverEndsThem() throws {
            let cycles = ProcessInfo.processInfo.environment["SWIFTLET_SOAK"].flatMap { Int($0) } ?? 100
            // What an earlier test left to the next machine is gone then.
            expectOutput(try swiftlet.start(["run", Project.busybox, "/bin/echo", "first"], .noInput).finish(), "first\n")
            let before = Holdings(besides: swiftlet.directory.path)
            let next = Mutex(0)
            let strange = Mutex<[String]>([])
            let group = DispatchGroup()
            for _ in 0..<8 {
                group.enter()
                Thread.detachNewThread {
                    while let number = next.withLock({ number in
                        number += 1
                        return number <= cycles ? number : nil
                    }) {
                        do { try cycle(number, strange) } catch { strange.withLock { $0.append("\(number): \(error)") } }
                    }
                    group.leave()
                }
            }
            group.wait()
            #expect(strange.withLock { $0 } == [])
            // One whose parent was killed leaves its cgroup to the next.
            expectOutput(try swiftlet.start(["run", Project.busybox, "/bin/echo", "last"], .noInput).finish(), "last\n")
            var after = Holdings(besides: swiftlet.directory.path)
            for _ in 0..<100 where after != before {
                usleep(100_000)
                after = Holdings(besides: swiftlet.directory.path)
            }
            #expect(after == before)
        }

        private func cycle(_ number: Int, _ strange: borrowing Mutex<[String]>) throws {
            let options = number % 3 == 0 ? ["--storage-size", "32m"] : number % 3 == 1 ? ["--name", "soak-\(number)"] : []
            let process = try swiftlet.start(
                ["run", "--memory", "64m"] + options + [Project.busybox, "/bin/sh", "-c", Self.work], .noInput)
            let end = End.allCases[Int.random(in: 0..<End.allCases.count)]
            usleep(UInt32.random(in: 0..<1_500_000))
            switch end {
            case .byItself: break
            case .terminated: process.signal(SIGTERM)
            case .killed: process.signal(SIGKILL)
            case .machineKilled: if let machine = try? VMMState(childOf: process.pid) { kill(machine.pid, SIGKILL) }
            }
            let outcome = process.finish(within: 120)
            // Whoever was not disturbed did all its work.
            if end == .byItself, outcome.ending != .exited(0) || outcome.text != "begin\nend\n" {
                strange.withLock { $0.append("\(number): \(outcome)") }
            }
            if outcome.ending == .timedOut { strange.withLock { $0.append("\(number) after \(end): \(outcome)") } }
        }
    }
}
