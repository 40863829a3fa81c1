// How long a disk's requests take, beside QEMU.
import Foundation

private let jobs: [(name: String, title: String)] = [
    ("random-read-1", "random read of 4 KiB, one at a time"), ("random-read-32", "random read of 4 KiB, 32 at a time"),
    ("random-write-1", "random write of 4 KiB, one at a time"), ("random-write-32", "random write of 4 KiB, 32 at a time"),
    ("sequential-read", "sequential read of 1 MiB, four at a time"), ("sequential-write", "sequential write of 1 MiB, four at a time"),
]
private let machines: [(name: String, title: String)] = [
    ("swiftlet", "swiftlet"), ("qemu", "QEMU microvm"), ("qemu-iothread", "QEMU microvm with an iothread"),
]

extension Measurements {
    /// Nanoseconds for each request of a job, by round: the inverse of fio's operations per second.
    private func requests(_ machine: String, _ job: String) -> [Int: Double] {
        let rows = ((try? Measurements.rows("\(directory)/fio.tsv")) ?? []).filter { $0.count == 4 && $0[0] == machine && $0[2] == job }
        let values = rows.compactMap { row -> (Int, Double)? in
            guard let round = Int(row[1]), round > 0, let rate = Double(row[3]), rate > 0 else { return nil }
            return (round, 1e9 / rate)
        }
        return Dictionary(values, uniquingKeysWith: { first, _ in first })
    }

    /// Empty where nothing of it was measured.
    var diskSections: [Results.Section] {
        var figures: [Figure?] = []
        for job in jobs {
            for machine in machines {
                figures.append(
                    Figure(
                        "fio-\(job.name)-\(machine.name)", "\(job.title): \(machine.title)", .nanoseconds,
                        requests(machine.name, job.name).values.sorted()))
            }
            let (own, plain, threaded) = (requests("swiftlet", job.name), requests("qemu", job.name), requests("qemu-iothread", job.name))
            let ratios = own.keys.sorted().compactMap { round -> Double? in
                guard let value = own[round], let peer = [plain[round], threaded[round]].compactMap(\.self).min() else { return nil }
                return value / peer
            }
            figures.append(Figure("fio-\(job.name)-to-qemu", "\(job.title): swiftlet to the better QEMU", .ratio, ratios, reach: 1))
        }
        return [Results.Section(title: "Disk: time for each request, fio in the guest", figures: figures.compactMap(\.self))].filter {
            !$0.figures.isEmpty
        }
    }
}
