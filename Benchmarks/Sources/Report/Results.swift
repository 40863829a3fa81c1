// The figures: what RESULTS.json holds and the table shows.
import Foundation

struct Statistics: Codable {
    let runs: Int
    let median: Double
    /// Nearest rank: of fewer than a hundred runs it is the highest.
    let p99: Double
    let minimum: Double
    let maximum: Double

    /// Nil without values.
    init?(_ values: [Double]) {
        let sorted = values.sorted()
        guard let first = sorted.first, let last = sorted.last else { return nil }
        runs = sorted.count
        let middle = sorted.count / 2
        median = sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
        p99 = sorted[max(0, Int((0.99 * Double(sorted.count)).rounded(.up)) - 1)]
        minimum = first
        maximum = last
    }
}

/// What we want a figure to be at most.
struct Reach: Codable {
    let atMost: Double
    let met: Bool

    init(_ limit: Double, for value: Double) {
        atMost = limit
        met = value <= limit
    }
}

struct Figure: Codable {
    enum Unit: String, Codable {
        case nanoseconds = "ns"
        case bytes
        case count
        case ratio
    }

    /// Stable, for programs: words separated by hyphens.
    let id: String
    let title: String
    /// `alone`: the first VM on the machine; `beside`: with another VM alive; `any`: it makes no difference.
    let situation: String
    let unit: Unit
    let statistics: Statistics
    let reach: Reach?

    /// Nil without values.
    init?(_ id: String, _ title: String, in situation: String = "any", _ unit: Unit, _ values: [Double], reach limit: Double? = nil) {
        guard let statistics = Statistics(values) else { return nil }
        self.id = id
        self.title = title
        self.situation = situation
        self.unit = unit
        self.statistics = statistics
        reach = limit.map { Reach($0, for: statistics.median) }
    }
}

struct Results: Codable {
    struct Section: Codable {
        let title: String
        let figures: [Figure]
    }

    let schema: Int
    let environment: String
    let facts: [String: String]
    let discardedRuns: Int
    let sections: [Section]
    let leftOut: [String: String]
}
