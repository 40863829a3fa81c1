// What the jail costs a start.

extension Measurements {
    /// Means, not medians: a start's waits end with ticks of the kernel, and half a millisecond is four or none of them.
    var jailSection: Results.Section {
        var figures: [Figure?] = []
        for (name, title) in [("jailed", "busybox, as it comes"), ("unjailed", "busybox, by a VMM without walls")] {
            let trials = trials(name, "any")
            figures.append(Figure("\(name)-first-byte", "\(title): first byte", .nanoseconds, trials.compactMap(\.firstByte)))
            figures.append(Figure("\(name)-exit", "\(title): exit", .nanoseconds, trials.map(\.exit)))
        }
        let (jailed, plain) = (trials("jailed", "any"), trials("unjailed", "any"))
        for (suffix, title, value) in [("first-byte", "first byte", \Trial.firstByte), ("exit", "exit", \Trial.wholeRun)] {
            guard let with = mean(jailed.compactMap { $0[keyPath: value] }), let without = mean(plain.compactMap { $0[keyPath: value] }) else {
                continue
            }
            figures.append(
                Figure("jail-\(suffix)", "\(title): mean of \(jailed.count) with the jail to the mean without", .ratio, [with / without], reach: 1.05)
            )
        }
        return Results.Section(title: "What the jail costs a start", figures: figures.compactMap(\.self))
    }

    private func mean(_ values: [Double]) -> Double? { values.isEmpty ? nil : values.reduce(0, +) / Double(values.count) }
}

extension Trial {
    fileprivate var wholeRun: Double? { exit }
}
