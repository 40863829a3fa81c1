// From measurements to figures.
import Foundation

private let situations = ["alone", "beside"]
private let images: [(name: String, title: String)] = [
    ("swiftlet-tiny", "tiny image"), ("swiftlet", "busybox"),
]
private let peers: [(name: String, title: String)] = [
    ("qemu", "QEMU microvm as lean as it gets, /init reboots"), ("qemu-plain", "QEMU microvm with its defaults, /init reboots"),
]

extension Measurements {
    var results: Results {
        Results(
            schema: 1, environment: facts["environment"] ?? "unknown", facts: facts, discardedRuns: discarded,
            sections: ([starts, ratios, jailSection] + diskSections + fileSections + imageSections + situations.map { phases(images[0], $0) }
                + [phases(images[1], situations[0]), costs, sizes])
                .filter { $0.figures.count > 0 },
            leftOut: Dictionary(leftOut, uniquingKeysWith: { first, _ in first }))
    }

    /// Exact only where an instruction is a nanosecond.
    private var isDeterministic: Bool { facts["environment"] == "deterministic" }

    // MARK: Whole runs

    private var starts: Results.Section {
        var figures: [Figure?] = []
        for situation in situations {
            for (name, title) in images.map({ ($0.name, "swiftlet run, \($0.title)") }) {
                let trials = trials(name, situation)
                figures.append(Figure("\(name)-first-byte", "\(title): first byte", in: situation, .nanoseconds, trials.compactMap(\.firstByte)))
                figures.append(Figure("\(name)-exit", "\(title): exit", in: situation, .nanoseconds, trials.map(\.exit)))
            }
            for peer in peers {
                figures.append(
                    Figure("\(peer.name)-exit", "\(peer.title): exit", in: situation, .nanoseconds, trials(peer.name, situation).map(\.exit)))
            }
        }
        for name in ["crun", "runc", "echo"] {
            let title = name == "echo" ? "busybox echo, without any of it" : "\(name) run"
            let trials = trials(name, "any")
            figures.append(Figure("\(name)-first-byte", "\(title): first byte", .nanoseconds, trials.compactMap(\.firstByte)))
            figures.append(Figure("\(name)-exit", "\(title): exit", .nanoseconds, trials.map(\.exit)))
        }
        return Results.Section(title: "Start to end, from the store of disks", figures: figures.compactMap(\.self))
    }

    /// Of the same round, so that whatever disturbed both leaves their ratio.
    private var ratios: Results.Section {
        var figures: [Figure?] = []
        for situation in situations {
            for (name, title) in images {
                for peer in peers {
                    let wholeRuns = Dictionary(trials(peer.name, situation).map { ($0.round, $0.exit) }, uniquingKeysWith: { first, _ in first })
                    let pairs = trials(name, situation).compactMap { trial in wholeRuns[trial.round].map { (trial, $0) } }
                    figures.append(
                        Figure(
                            "\(name)-first-byte-to-\(peer.name)", "first byte (\(title)) to \(peer.name)'s whole run", in: situation, .ratio,
                            pairs.compactMap { pair in pair.0.firstByte.map { $0 / pair.1 } }, reach: 0.6))
                    figures.append(
                        Figure(
                            "\(name)-exit-to-\(peer.name)", "whole run (\(title)) to \(peer.name)'s whole run", in: situation, .ratio,
                            pairs.map { $0.0.exit / $0.1 }, reach: 0.6))
                }
            }
        }
        return Results.Section(
            title: "Start from the store of disks beside QEMU microvm's whole run of the same kernel", figures: figures.compactMap(\.self))
    }

    // MARK: Phases

    private func phases(_ image: (name: String, title: String), _ situation: String) -> Results.Section {
        let runs = trials(image.name, situation).compactMap { trial in timeline(trial).map { (trial, $0) } }
        var figures: [Figure?] = [
            Figure(
                "phase-program-started", "exec to swiftlet's first statement", in: situation, .nanoseconds,
                runs.map { $0.1.launched - $0.0.executed })
        ]
        for phase in (runs.first?.1.phases ?? []).map(\.phase) where phase != "launched" {
            figures.append(
                Figure(
                    "phase-\(phase)", "to \(phase)", in: situation, .nanoseconds,
                    runs.compactMap { run in run.1.phases.first { $0.phase == phase }?.sincePrevious }))
        }
        figures.append(
            Figure(
                "phase-process-gone", "from there until the process is gone", in: situation, .nanoseconds,
                runs.compactMap { run in run.1.at("exit").map { run.0.executed + run.0.exit - run.1.launched - $0 } }))
        return Results.Section(title: "Phases of swiftlet run, \(image.title) (\(situationTitle(situation)))", figures: figures.compactMap(\.self))
    }

    // MARK: Costs

    private var costs: Results.Section {
        var figures: [Figure?] = []
        for situation in situations {
            let runs = trials(images[0].name, situation).compactMap { trial in timeline(trial).map { (trial, $0) } }
            figures.append(
                Figure(
                    "exec-to-first-instruction", "exec of swiftlet to the first guest instruction", in: situation, .nanoseconds,
                    runs.compactMap { run in run.1.at("first-instruction").map { run.1.launched + $0 - run.0.executed } },
                    reach: isDeterministic ? 15e6 : nil))
            let kernel = runs.compactMap { run in run.1.at("init-started").flatMap { end in run.1.at("first-instruction").map { end - $0 } } }
            figures.append(
                isDeterministic
                    ? Figure("instructions-to-pid1", "instructions from kernel entry to PID 1", in: situation, .count, kernel, reach: 45e6)
                    : Figure("time-to-pid1", "kernel entry to PID 1", in: situation, .nanoseconds, kernel))
            figures.append(
                Figure(
                    "vm-exits-to-pid1", "VM exits until PID 1", in: situation, .count, runs.compactMap { $0.1.exits("init-started").map(Double.init) }
                ))
        }
        if let calls = SystemCalls(self) {
            figures.append(Figure("system-calls-launcher", "system calls of swiftlet until PID 1", .count, [Double(calls.launcher)]))
            figures.append(Figure("system-calls-vmm", "system calls of the VMM until PID 1, without KVM_RUN", .count, [Double(calls.machine)]))
            figures.append(Figure("system-calls-kvm-run", "KVM_RUN until PID 1, under strace", .count, [Double(calls.runs)]))
        }
        for (file, suffix, title) in [("memory", "", "the only one"), ("memory-two", "-two", "one of two")] {
            let samples = memory(file)
            let peak = samples.map(\.privateBytes).max()
            let idle = samples.dropLast().last?.privateBytes
            figures.append(
                Figure(
                    "memory-peak\(suffix)", "private memory of swiftlet-vmm beyond guest RAM, peak, \(title)", .bytes, peak.map { [$0] } ?? [],
                    reach: 0x1p22))
            figures.append(
                Figure(
                    "memory-idle\(suffix)", "private memory of swiftlet-vmm beyond guest RAM, idle, \(title)", .bytes, idle.map { [$0] } ?? [],
                    reach: 0x1p22))
        }
        figures.append(Figure("memory-guest", "guest RAM in use, idle", .bytes, memory("memory").last.map { [$0.guestResident] } ?? []))
        return Results.Section(title: "Costs", figures: figures.compactMap(\.self))
    }

    private var sizes: Results.Section {
        let figures = ["kernel", "initrd", "initrd-unpacking", "agent", "swiftlet", "swiftlet-vmm"].compactMap { name in
            Figure(
                "size-\(name)", "size of the \(name)", .bytes, (facts["size \(name)"].flatMap(Double.init)).map { [$0] } ?? [],
                reach: name == "agent" ? 300 * 1024 : nil)
        }
        return Results.Section(title: "Sizes", figures: figures)
    }
}

func situationTitle(_ situation: String) -> String {
    switch situation {
    case "alone": "first VM on the machine"
    case "beside": "another VM alive"
    default: ""
    }
}
