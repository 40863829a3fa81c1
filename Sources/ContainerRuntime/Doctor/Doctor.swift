// `swiftlet doctor`: can this machine run us?
public import Wire

public enum Doctor {
    private static let help = """
        Usage: swiftlet doctor [--json]

        Says whether this machine can run containers, and what to do where it cannot.

        Options:
              --json                    Print a JSON object
              --help                    Show this help

        The exit status is 0 if it can, and 1 if it cannot.

        """

    private enum Option: Equatable, Sendable { case json, help }

    private static let parser = OptionParser<Option>(
        command: "swiftlet doctor",
        definitions: [.init(.json, "json", .none, "Print a JSON object"), .init(.help, "help", .none, "Show this help")])

    /// Returns the exit status.
    public static func run(_ arguments: [Text], installation: Installation, print: (String) -> Void) throws(ContainerError) -> Int32 {
        let (options, operands) = try parser.parse(arguments)
        if options.contains(where: { $0.key == .help }) {
            print(help)
            return 0
        }
        if let extra = operands.first { throw parser.usage("\"\(extra.string)\" is not expected: doctor takes no arguments") }
        let diagnosis = Diagnosis(MachineFacts.gather(installation))
        print(options.contains { $0.key == .json } ? diagnosis.json : diagnosis.text)
        return diagnosis.isGood ? 0 : 1
    }
}

extension Diagnosis {
    var text: String {
        var lines = ""
        for check in checks {
            let mark =
                switch check.status {
                case .ok: "✓"
                case .warning: "!"
                case .failed: "✗"
                }
            lines += "\(mark) \(check.detail)\n"
            if !check.remedy.isEmpty { lines += "  → \(check.remedy)\n" }
        }
        return lines + (isGood ? "This machine can run containers.\n" : "This machine cannot run containers yet.\n")
    }

    /// Stable: keys are only ever added.
    var json: String {
        let checks = checks.map { check in
            "{\"name\": \(quoted(check.name)), \"status\": \(quoted(check.status.rawValue)), \"detail\": \(quoted(check.detail)), "
                + "\"remedy\": \(quoted(check.remedy))}"
        }
        let probe = facts.probe.sorted { $0.key < $1.key }.map { "\(quoted($0.key)): \(quoted($0.value))" }
        return """
            {
              "version": \(quoted(swiftletVersion)),
              "ok": \(isGood),
              "checks": [
                \(checks.joined(separator: ",\n    "))
              ],
              "availableMemory": \(facts.availableMemory),
              "probe": {\(probe.joined(separator: ", "))}
            }

            """
    }

    /// A JSON string (RFC 8259, section 7).
    private func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
