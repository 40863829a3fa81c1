// What images cost: unpacking them, starting them from the store, having one twice.
import Foundation

private let realImages: [(name: String, title: String)] = [("debian", "Debian base"), ("nginx", "nginx"), ("java", "Java runtime")]

extension Measurements {
    /// Empty where nothing of it was measured.
    var imageSections: [Results.Section] {
        [unpacking, pulls, cachedStarts, cachedRatios, sharing].filter { !$0.figures.isEmpty }
    }

    // MARK: Unpacking

    /// Each with the command of umoci's that does the same.
    private var unpacking: Results.Section {
        let images: [(name: String, title: String, peer: String?)] = [
            ("first-tiny", "tiny image", nil), ("first-busybox", "busybox", "umoci-busybox"), ("first-debian", "Debian base", "umoci-debian"),
            ("first-stored", "Debian base, already in the store", "umoci-debian"),
        ]
        var figures: [Figure?] = []
        for image in images {
            let trials = trials("swiftlet-\(image.name)", "alone")
            let unpacked = trials.compactMap { trial in timeline(trial)?.at("configured").map { (trial, $0) } }
            figures.append(
                Figure("\(image.name)-unpacked", "\(image.title): until the image is unpacked", .nanoseconds, unpacked.map(\.1)))
            figures.append(Figure("\(image.name)-exit", "\(image.title): exit", .nanoseconds, trials.map(\.exit)))
            guard let peer = image.peer else { continue }
            let wholeRuns = Dictionary(self.trials(peer, "any").map { ($0.round, $0.exit) }, uniquingKeysWith: { first, _ in first })
            let raw = self.trials(peer.replacingOccurrences(of: "umoci", with: "umoci-raw"), "any")
            if image.name != "first-stored" {
                figures.append(Figure(peer, "\(image.title): umoci unpack", .nanoseconds, wholeRuns.map(\.value)))
                figures.append(Figure(peer + "-raw", "\(image.title): umoci raw unpack", .nanoseconds, raw.map(\.exit)))
            }
            figures.append(
                Figure(
                    "\(image.name)-to-umoci", "\(image.title): until the image is unpacked, to umoci unpack", .ratio,
                    unpacked.compactMap { pair in wholeRuns[pair.0.round].map { pair.1 / $0 } }, reach: 1.5))
            figures.append(
                Figure(
                    "\(image.name)-to-umoci-raw", "\(image.title): until the image is unpacked, to umoci raw unpack", .ratio,
                    unpacked.compactMap { pair in raw.first { $0.round == pair.0.round }.map { pair.1 / $0.exit } }))
        }
        return Results.Section(title: "First start, with unpacking", figures: figures.compactMap(\.self))
    }

    // MARK: Starting from the store

    private static let temperatures = ["alone", "cold"]

    private func title(_ title: String, _ situation: String) -> String {
        "\(title), \(situation == "cold" ? "cold" : "warm") page cache"
    }

    private var cachedStarts: Results.Section {
        var figures: [Figure?] = []
        for situation in Self.temperatures {
            for (name, title) in [("busybox", "busybox")] + realImages {
                let trials = trials("swiftlet-cached-\(name)", situation)
                let suffix = situation == "cold" ? "-cold" : ""
                let executed = trials.compactMap { timeline($0)?.at("process-executed") }
                figures.append(
                    Figure("cached-\(name)-executed\(suffix)", self.title("\(title): the process is executed", situation), .nanoseconds, executed))
                figures.append(Figure("cached-\(name)-exit\(suffix)", self.title("\(title): exit", situation), .nanoseconds, trials.map(\.exit)))
            }
        }
        return Results.Section(title: "Start from the store of disks", figures: figures.compactMap(\.self))
    }

    /// To busybox's start of the same round.
    private var cachedRatios: Results.Section {
        var figures: [Figure?] = []
        for situation in Self.temperatures {
            let suffix = situation == "cold" ? "-cold" : ""
            let busybox = Dictionary(
                trials("swiftlet-cached-busybox", situation).map { ($0.round, $0) }, uniquingKeysWith: { first, _ in first })
            for (name, title) in realImages {
                let pairs = trials("swiftlet-cached-\(name)", situation).compactMap { trial in busybox[trial.round].map { (trial, $0) } }
                let executed = pairs.compactMap { pair -> Double? in
                    guard let own = timeline(pair.0)?.at("process-executed"), let other = timeline(pair.1)?.at("process-executed") else { return nil }
                    return own / other
                }
                figures.append(
                    Figure(
                        "cached-\(name)-executed-to-busybox\(suffix)", self.title("\(title): the process is executed", situation), .ratio, executed,
                        reach: 1.05))
                let worked = pairs.compactMap { pair -> Double? in
                    guard let own = timeline(pair.0)?.executedWithoutWait, let other = timeline(pair.1)?.executedWithoutWait else { return nil }
                    return own / other
                }
                figures.append(
                    Figure(
                        "cached-\(name)-worked-to-busybox\(suffix)",
                        self.title("\(title): the same without the wait in KVM_CREATE_VM", situation), .ratio, worked, reach: 1.05))
                figures.append(
                    Figure(
                        "cached-\(name)-exit-to-busybox\(suffix)", self.title("\(title): exit", situation), .ratio,
                        pairs.map { $0.0.exit / $0.1.exit }, reach: 1.05))
            }
        }
        return Results.Section(title: "Start from the store of disks, to busybox's", figures: figures.compactMap(\.self))
    }

    // MARK: Sharing

    private struct Shared {
        let filePages: Double
        let free: Double
        let own: Double
        let guest: Double
    }

    private var sharing: Results.Section {
        var figures: [Figure?] = []
        for (name, title) in [("idle", "has read nothing"), ("reading", "has read its programs and libraries")] {
            let rows = ((try? Measurements.rows("\(directory)/sharing-\(name).tsv")) ?? []).compactMap { row -> Shared? in
                let values = row.compactMap(Double.init)
                return values.count == 6 ? Shared(filePages: values[1], free: values[2], own: values[3], guest: values[5]) : nil
            }
            guard rows.count == 3 else { continue }
            let (none, one, two) = (rows[0], rows[1], rows[2])
            let second = max(0, two.filePages - one.filePages)
            figures += [
                Figure("sharing-\(name)-first", "\(title): the host's page cache, for the first", .bytes, [one.filePages - none.filePages]),
                Figure("sharing-\(name)-second", "\(title): the host's page cache, for the second", .bytes, [second], reach: 0x1p20),
                Figure(
                    "sharing-\(name)-second-vmm", "\(title): that and the second VMM's private memory beyond guest RAM", .bytes, [second + two.own],
                    reach: 0x1p20),
                Figure("sharing-\(name)-guest", "\(title): guest RAM in use by the second", .bytes, [two.guest]),
                Figure("sharing-\(name)-all", "\(title): free memory that went with the second", .bytes, [one.free - two.free]),
            ]
        }
        return Results.Section(title: "A second container of the Debian image", figures: figures.compactMap(\.self))
    }
}
