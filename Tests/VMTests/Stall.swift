// What a process that doesn't end is waiting for, for the report of a test that gave up on it: nobody can look at the machine any more when the report is read.
import Foundation
import Glibc

enum Stall {
    /// The process and those that it started: what each of their threads waits for in the host's kernel, and what KVM has counted.
    static func describe(_ pid: pid_t) -> String {
        var text = ""
        for process in family(of: pid) {
            text += "\nprocess \(process), \(line("/proc/\(process)/cmdline").prefix(200))"
            for thread in names("/proc/\(process)/task") {
                let place = "/proc/\(process)/task/\(thread)"
                let state = contents(place + "/status").split(separator: "\n").first { $0.hasPrefix("State:") } ?? "State: ?"
                text +=
                    "\n  \(line(place + "/comm")) \(thread): \(state.dropFirst(6).trimmingCharacters(in: .whitespaces)), call \(line(place + "/syscall").prefix(60))"
                let stack = contents(place + "/stack").split(separator: "\n").compactMap { $0.split(separator: " ").last }
                text += "\n    " + stack.prefix(12).joined(separator: " < ")
            }
        }
        return text + counters()
    }

    private static func family(of pid: pid_t) -> [String] {
        var found = ["\(pid)"]
        var index = 0
        while index < found.count {
            for thread in names("/proc/\(found[index])/task") {
                found += contents("/proc/\(found[index])/task/\(thread)/children").split(separator: " ").map(String.init)
            }
            index += 1
        }
        return found
    }

    /// In the lab nobody else has microVMs. Twice, with a second between: which of them still go up?
    private static func counters() -> String {
        let place = "/sys/kernel/debug/kvm"
        guard Project.isLab, Project.isRoot else { return "" }
        // SAFETY: plain libc call; fails harmlessly where it is mounted already.
        _ = unsafe mount("debugfs", "/sys/kernel/debug", "debugfs", 0, nil)
        func read() -> [(name: String, value: String)] {
            names(place).filter { $0.contains("-") }.flatMap { machine in
                names("\(place)/\(machine)").flatMap { name in
                    name.hasPrefix("vcpu")
                        ? names("\(place)/\(machine)/\(name)").map { ("\(machine)/\(name)/\($0)", line("\(place)/\(machine)/\(name)/\($0)")) }
                        : [("\(machine)/\(name)", line("\(place)/\(machine)/\(name)"))]
                }
            }
        }
        let first = read()
        sleep(1)
        let second = Dictionary(read(), uniquingKeysWith: { one, _ in one })
        return "\nKVM:"
            + first.filter { $0.value != "0" && $0.value != "" }.map {
                " \($0.name)=\($0.value)" + (second[$0.name] == $0.value ? "" : "…\(second[$0.name] ?? "")")
            }.joined()
    }

    private static func names(_ directory: String) -> [String] { ((try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []).sorted() }
    private static func contents(_ path: String) -> String {
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }
    private static func line(_ path: String) -> String {
        contents(path).replacingOccurrences(of: "\0", with: " ").trimmingCharacters(in: .whitespacesAndNewlines)
    }
}
