// The boot timeline in words, for a person at a terminal.

extension Timeline {
    /// A line for each phase: milliseconds since `launched`, milliseconds since the phase before, its name, and VM exits until then.
    public var summary: String {
        let all = recorded.sorted { $0.nanoseconds < $1.nanoseconds }
        let zero = all.first?.nanoseconds ?? 0
        var previous = zero
        var text = "   at (ms)     + (ms)  phase               VM exits\n"
        for entry in all {
            let name = entry.phase.rawValue
            text += Self.milliseconds(entry.nanoseconds - zero) + " " + Self.milliseconds(entry.nanoseconds - previous) + "  " + name
            text += String(repeating: " ", count: max(1, 20 - name.utf8.count)) + "\(entry.exits)\n"
            previous = entry.nanoseconds
        }
        return text
    }

    /// With three decimals, at least ten characters wide.
    private static func milliseconds(_ nanoseconds: UInt64) -> String {
        let fraction = "\(nanoseconds / 1000 % 1000)"
        let text = "\(nanoseconds / 1_000_000)." + String(repeating: "0", count: 3 - fraction.utf8.count) + fraction
        return String(repeating: " ", count: max(0, 10 - text.utf8.count)) + text
    }
}
