// Pull plus first start, beside other tools: each is two commands of the plan, whose times are added up within a round.
import Foundation

private struct Tool {
    let pull: String
    let start: String
    /// The start's.
    let situation: String
    let title: String
    let startTitle: String
}

private let tools = [
    Tool(pull: "swiftlet-pull", start: "swiftlet-pulled", situation: "alone", title: "swiftlet pull", startTitle: "swiftlet run"),
    Tool(pull: "skopeo-copy", start: "skopeo-start", situation: "any", title: "skopeo copy", startTitle: "umoci unpack, crun run"),
    Tool(pull: "podman-pull", start: "podman-run", situation: "any", title: "podman pull", startTitle: "podman run"),
]

extension Measurements {
    /// Of one tool and image, by round, in nanoseconds; the sums to the output's first byte and to the end.
    private struct Pulled {
        var pull: [Int: Double] = [:]
        var start: [Int: Double] = [:]
        var firstByte: [Int: Double] = [:]
        var all: [Int: Double] = [:]
    }

    private func pulled(_ tool: Tool, _ image: String) -> Pulled {
        var pulled = Pulled()
        for trial in trials("\(tool.pull)-\(image)", "any") { pulled.pull[trial.round] = trial.exit }
        for trial in trials("\(tool.start)-\(image)", tool.situation) {
            pulled.start[trial.round] = trial.exit
            guard let pull = pulled.pull[trial.round] else { continue }
            pulled.all[trial.round] = pull + trial.exit
            if let first = trial.firstByte { pulled.firstByte[trial.round] = pull + first }
        }
        return pulled
    }

    var pulls: Results.Section {
        var figures: [Figure?] = []
        for (image, title) in [("busybox", "busybox"), ("debian", "Debian base")] {
            let ours = pulled(tools[0], image)
            for tool in tools {
                let theirs = pulled(tool, image)
                let both = "\(tool.title), \(tool.startTitle)"
                figures += [
                    Figure("\(tool.pull)-\(image)", "\(title): \(tool.title)", .nanoseconds, Array(theirs.pull.values)),
                    Figure("\(tool.start)-\(image)", "\(title): then \(tool.startTitle)", .nanoseconds, Array(theirs.start.values)),
                    Figure("\(tool.pull)-\(image)-first-byte", "\(title): \(both): first byte", .nanoseconds, Array(theirs.firstByte.values)),
                    Figure("\(tool.pull)-\(image)-exit", "\(title): \(both): exit", .nanoseconds, Array(theirs.all.values)),
                ]
                if tool.pull == tools[0].pull { continue }
                // Podman's pull unpacks too.
                if tool.pull == "skopeo-copy" {
                    figures.append(
                        Figure(
                            "pull-\(image)-to-\(tool.pull)", "\(title): swiftlet pull, to \(tool.title)", .ratio, ratios(ours.pull, theirs.pull),
                            reach: 1))
                }
                figures.append(
                    Figure(
                        "pull-and-start-\(image)-to-\(tool.pull)", "\(title): pull and first start, to \(both)", .ratio,
                        ratios(ours.all, theirs.all)))
            }
        }
        return Results.Section(title: "Pull and first start, from a registry on loopback", figures: figures.compactMap(\.self))
    }

    private func ratios(_ first: [Int: Double], _ second: [Int: Double]) -> [Double] {
        first.compactMap { round, value in second[round].map { value / $0 } }
    }
}
