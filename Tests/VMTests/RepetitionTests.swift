// Many runs: one after another and at the same time, with nothing left behind.
import Foundation
import Testing

extension VirtualMachines {
    @Suite struct Repetition {
        let swiftlet: Swiftlet

        init() throws { swiftlet = try Swiftlet() }

        /// Kilobytes that the machine has given away and can't take back by itself.
        private struct MemoryInUse {
            let anonymous: Int
            let shared: Int
            let openFiles: Int

            init() throws {
                let lines = try String(contentsOfFile: "/proc/meminfo", encoding: .utf8).split(separator: "\n")
                func value(_ name: String) -> Int {
                    lines.first { $0.hasPrefix(name + ":") }.flatMap { $0.split(separator: " ").dropFirst().first }.flatMap { Int($0) } ?? 0
                }
                anonymous = value("AnonPages")
                shared = value("Shmem")
                openFiles = try String(contentsOfFile: "/proc/sys/fs/file-nr", encoding: .utf8).split(separator: "\t").first.flatMap { Int($0) } ?? 0
            }
        }

        @Test func sixtyFourInARow() throws {
            let descriptors = { (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 0 }
            _ = try swiftlet.run(["--storage-size", "32m"], ["/bin/true"])
            let before = try MemoryInUse()
            let openBefore = descriptors()
            for number in 1...64 {
                // `swiftlet.run` compares processes, files, sockets and mounts each time.
                let outcome = try swiftlet.run(
                    number % 8 == 0 ? ["--storage-size", "32m"] : [], ["/bin/sh", "-c", "echo run $0; exit $0", "\(number)"])
                #expect(outcome.ending == .exited(Int32(number)) && outcome.text == "run \(number)\n" && outcome.errorText == "", "\(outcome)")
            }
            #expect(descriptors() <= openBefore)
            let after = try MemoryInUse()
            // Elsewhere than in the lab other programs take and give memory meanwhile.
            if Project.isLab {
                #expect(after.anonymous < before.anonymous + 16_384)
                #expect(after.shared < before.shared + 8_192)
                #expect(after.openFiles < before.openFiles + 256)
            }
        }

        @Test func eightAtOnce() throws {
            let before = Leftovers.now(besides: swiftlet.directory.path)
            let processes = try (0..<8).map { number in
                try swiftlet.start([
                    "run", "-i", "--name", "one-of-eight-\(number)", "--memory", "128m", Project.busybox, "/bin/sh", "-c",
                    "echo up; read line; echo \(number) $line; exit \(number)",
                ])
            }
            // All of them live at the same time.
            for process in processes { #expect(process.sees("up\n", within: 300)) }
            for process in processes { process.send("together\n") }
            for (number, process) in processes.enumerated() {
                let outcome = process.finish(within: 300)
                #expect(
                    outcome.ending == .exited(Int32(number)) && outcome.text == "up\n\(number) together\n" && outcome.errorText == "", "\(outcome)")
            }
            #expect(Leftovers.now(besides: swiftlet.directory.path) == before)
        }
    }
}
