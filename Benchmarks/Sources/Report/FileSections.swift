// How long work on files of the host takes, beside QEMU and its virtiofsd, and without a machine.
import Foundation

private let jobs: [(name: String, title: String)] = [
    ("untar", "a thousand headers unpacked"), ("list", "listed with their attributes"), ("list-again", "listed again"), ("search", "searched"),
    ("git-status", "git status, which reads everything"), ("git-status-again", "git status again"), ("compile", "a hundred files compiled"),
    ("remove", "removed"), ("sequential-write", "128 writes of 1 MiB"), ("sequential-read", "64 MiB read"),
    ("random-read", "2,000 random reads of 4 KiB"), ("random-write", "2,000 random writes of 4 KiB"),
]
private let machines: [(name: String, title: String)] = [
    ("swiftlet", "swiftlet"), ("qemu", "QEMU microvm and virtiofsd"), ("host", "no machine at all"),
]

extension Measurements {
    /// Nanoseconds that a piece of work takes, by round.
    private func work(_ machine: String, _ job: String) -> [Int: Double] {
        let rows = ((try? Measurements.rows("\(directory)/files.tsv")) ?? []).filter { $0.count == 4 && $0[0] == machine && $0[2] == job }
        let values = rows.compactMap { row -> (Int, Double)? in
            guard let round = Int(row[1]), round > 0, let milliseconds = Double(row[3]) else { return nil }
            return (round, milliseconds * 1e6)
        }
        return Dictionary(values, uniquingKeysWith: { first, _ in first })
    }

    /// Empty where nothing of it was measured.
    var fileSections: [Results.Section] {
        var figures: [Figure?] = []
        for job in jobs {
            for machine in machines {
                figures.append(
                    Figure(
                        "files-\(job.name)-\(machine.name)", "\(job.title): \(machine.title)", .nanoseconds,
                        work(machine.name, job.name).values.sorted()))
            }
            let (own, peer) = (work("swiftlet", job.name), work("qemu", job.name))
            let ratios = own.keys.sorted().compactMap { round in peer[round].flatMap { $0 > 0 ? (own[round] ?? 0) / $0 : nil } }
            figures.append(Figure("files-\(job.name)-to-qemu", "\(job.title): swiftlet to QEMU", .ratio, ratios, reach: 1))
        }
        return [Results.Section(title: "Files of the host, in the guest by virtio-fs", figures: figures.compactMap(\.self))].filter {
            !$0.figures.isEmpty
        }
    }
}
