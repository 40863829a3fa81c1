// The figures as a table: for a terminal, and for Markdown.
import Foundation

struct Table {
    private let results: Results
    private static let heads = ["median", "p99", "min", "max", "reach"]

    init(_ results: Results) { self.results = results }

    private var titleLines: [String] {
        let clock =
            switch results.environment {
            case "deterministic": "the lab with its deterministic clock: one executed instruction is one nanosecond; all files in memory"
            case "wall": "the lab, an emulated machine, with its ordinary clock; all files in memory"
            default: "this machine's own KVM"
            }
        let runs = results.sections.first?.figures.first?.statistics.runs ?? 0
        let facts = results.facts
        return [
            "Environment: \(clock).",
            "Interleaved runs: \(runs) of each command, after \(results.discardedRuns) that were discarded. One virtual CPU and 512 MiB everywhere.",
            "\(facts["date"] ?? ""), commit \(facts["commit"] ?? ""), host processor \(facts["processor"] ?? ""); "
                + "QEMU \(facts["qemu"] ?? ""), crun \(facts["crun"] ?? ""), runc \(facts["runc"] ?? "").",
        ] + results.leftOut.map { "\($0.key) could not run here: \($0.value)" }
    }

    private func cells(_ figure: Figure) -> [String] {
        let statistics = figure.statistics
        let values = [statistics.median, statistics.p99, statistics.minimum, statistics.maximum].map { format($0, figure.unit) }
        let shown = statistics.runs == 1 ? [values[0], "", "", ""] : values
        return shown + [figure.reach.map { "≤ \(format($0.atMost, figure.unit)) \($0.met ? "met" : "not met")" } ?? ""]
    }

    private func format(_ value: Double, _ unit: Figure.Unit) -> String {
        switch unit {
        case .nanoseconds: String(format: "%.2f ms", value / 1e6)
        case .bytes: value >= 0x1p20 ? String(format: "%.2f MiB", value / 0x1p20) : String(format: "%.0f KiB", value / 1024)
        case .ratio: String(format: "%.2f", value)
        case .count: value >= 1e6 ? String(format: "%.2f M", value / 1e6) : String(format: "%.0f", value)
        }
    }

    private func name(_ figure: Figure) -> String {
        let situation = situationTitle(figure.situation)
        return situation.isEmpty ? figure.title : "\(figure.title), \(situation)"
    }

    var text: String {
        let width = results.sections.flatMap(\.figures).map { name($0).count }.max() ?? 0
        var lines = titleLines
        for section in results.sections {
            lines += ["", row(section.title, width, Self.heads), row("", width, Self.heads.map { String(repeating: "-", count: $0.count) })]
            lines += section.figures.map { row(name($0), width, cells($0)) }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private func row(_ name: String, _ width: Int, _ cells: [String]) -> String {
        let columns = cells.enumerated().map { index, cell in
            let padding = String(repeating: " ", count: max(0, (index == 4 ? 0 : 10) - cell.count))
            return padding + cell
        }
        return name + String(repeating: " ", count: max(0, width - name.count)) + "  " + columns.joined(separator: "  ")
    }

    var markdown: String {
        var lines = ["# Results", ""] + titleLines.flatMap { [$0, ""] }
        for section in results.sections {
            lines += ["## \(section.title)", "", "| | " + Self.heads.joined(separator: " | ") + " |", "|---|---:|---:|---:|---:|---|"]
            lines += section.figures.map { "| \(name($0)) | " + cells($0).joined(separator: " | ") + " |" }
            lines.append("")
        }
        return lines.dropLast().joined(separator: "\n") + "\n"
    }
}
