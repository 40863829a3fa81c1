// How many system calls a start makes, from strace's record of one run (outside of the timed ones).
import Foundation

struct SystemCalls {
    /// By `swiftlet` until the guest's PID 1 ran.
    let launcher: Int
    /// By its child, the VMM, until then, KVM_RUN left out; and KVM_RUN.
    let machine: Int
    let runs: Int

    /// Nil where strace could not run.
    init?(_ measurements: Measurements) {
        let directory = measurements.directory
        guard let record = try? String(contentsOfFile: "\(directory)/strace.txt", encoding: .utf8),
            let clocks = try? String(contentsOfFile: "\(directory)/clocks", encoding: .utf8),
            let distance = Double(clocks.trimmingCharacters(in: .whitespacesAndNewlines)),
            let timeline = measurements.timeline("timeline-strace"), let started = timeline.at("init-started")
        else { return nil }
        let end = (timeline.launched + started + distance) / 1e9
        var launcher = 0
        var machine = 0
        var runs = 0
        // The launcher's is the first line.
        var launcherProcess: Substring?
        for line in record.split(separator: "\n") {
            // "PID SECONDS name(…" but for "<... name resumed>", signals and exits, which are no new calls.
            let words = line.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: true)
            guard words.count == 3, let time = Double(words[1]), time <= end, let first = words[2].first, first.isLetter else { continue }
            launcherProcess = launcherProcess ?? words[0]
            if words[0] == launcherProcess {
                launcher += 1
            } else if words[2].contains("KVM_RUN") {
                runs += 1
            } else {
                machine += 1
            }
        }
        self.launcher = launcher
        self.machine = machine
        self.runs = runs
    }
}
