// What a session left behind: the stopwatch's lines, the VMM's timelines, memory samples, system calls, facts.
import Foundation

struct Trial {
    let name: String
    let situation: String
    let round: Int
    /// In nanoseconds from execve; nil if there was no output.
    let firstByte: Double?
    let exit: Double
    /// CLOCK_MONOTONIC in nanoseconds.
    let executed: Double
}

/// What `swiftlet run --timeline` writes.
struct Timeline: Decodable {
    struct Phase: Decodable {
        let phase: String
        let at: Double
        let sincePrevious: Double
        let vmExits: Int

        enum CodingKeys: String, CodingKey {
            case phase, at
            case sincePrevious = "since_previous"
            case vmExits = "vm_exits"
        }
    }
    let launched: Double
    let phases: [Phase]

    func at(_ phase: String) -> Double? { phases.first { $0.phase == phase }?.at }

    /// When the container's process was executed, less what the creation of the machine took: that is a wait for the kernel's ticks.
    var executedWithoutWait: Double? {
        guard let executed = at("process-executed"), let created = at("kvm-ready"), let mapped = at("memory-mapped") else { return nil }
        return executed - (created - mapped)
    }

    func exits(_ phase: String) -> Int? { phases.first { $0.phase == phase }?.vmExits }
}

/// A process's memory at one moment, in bytes.
struct MemorySample {
    let privateBytes: Double
    let guestResident: Double
}

struct Measurements {
    let directory: String
    let facts: [String: String]
    let trials: [Trial]
    let discarded: Int

    init(directory: String) throws {
        self.directory = directory
        facts = Dictionary(
            uniqueKeysWithValues: try Measurements.rows("\(directory)/facts.tsv").filter { $0.count == 2 }.map { ($0[0], $0[1]) })
        let discarded = Int(facts["discarded"] ?? "") ?? 0
        self.discarded = discarded
        // One file for each plan of the session's.
        let samples = try FileManager.default.contentsOfDirectory(atPath: directory).filter { $0.hasPrefix("samples-") }.sorted()
        trials = try samples.flatMap { try Measurements.rows("\(directory)/\($0)") }.compactMap { row in
            guard row.count == 6, let round = Int(row[2]), let first = Double(row[3]), let exit = Double(row[4]), let executed = Double(row[5])
            else { return nil }
            return Trial(name: row[0], situation: row[1], round: round, firstByte: first < 0 ? nil : first, exit: exit, executed: executed)
        }.filter { $0.round >= discarded }
    }

    static func rows(_ path: String) throws -> [[String]] {
        try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map { $0.split(separator: "\t").map(String.init) }
    }

    func trials(_ name: String, _ situation: String) -> [Trial] { trials.filter { $0.name == name && $0.situation == situation } }

    /// Of one counted run of `swiftlet`.
    func timeline(_ trial: Trial) -> Timeline? {
        timeline("\(trial.name.replacingOccurrences(of: "swiftlet", with: "timeline"))-\(trial.situation)-\(trial.round)")
    }

    func timeline(_ name: String) -> Timeline? {
        guard let data = FileManager.default.contents(atPath: "\(directory)/\(name).json") else { return nil }
        return try? JSONDecoder().decode(Timeline.self, from: data)
    }

    /// From when the guest's memory was there.
    func memory(_ name: String) -> [MemorySample] {
        ((try? Measurements.rows("\(directory)/\(name).tsv")) ?? []).compactMap { row in
            guard row.count == 5, row[0] == "sample", let own = Double(row[2]), let guest = Double(row[4]), guest > 0 else { return nil }
            return MemorySample(privateBytes: own, guestResident: guest)
        }
    }

    /// What could not run here: name and why.
    var leftOut: [(String, String)] {
        ((try? Measurements.rows("\(directory)/left-out.tsv")) ?? []).filter { $0.count == 2 }.map { ($0[0], $0[1]) }
    }
}
