// Command line options as Docker's parser (pflag) understands them: --name VALUE, --name=VALUE, -nVALUE, -n VALUE, flags together (-it), and a stop
// at the first operand, so that a container's command keeps its own options. docs/adr/ says why this is not swift-argument-parser.
import Wire

/// One option of a command.
struct OptionDefinition<Key: Equatable & Sendable>: Sendable {
    enum Value: Equatable, Sendable {
        /// A flag; `=true` and `=false` are understood too.
        case none
        /// The name of the value in the help.
        case required(String)
        /// Given only with `=`.
        case optional(String)
    }

    let key: Key
    let long: String
    let short: UInt8?
    let value: Value
    let help: String

    init(_ key: Key, _ long: String, short: Unicode.Scalar? = nil, _ value: Value, _ help: String) {
        self.key = key
        self.long = long
        self.short = short.map { UInt8(ascii: $0) }
        self.value = value
        self.help = help
    }

    var isFlag: Bool { value == .none }
}

/// An option as it was given.
struct ParsedOption<Key: Equatable & Sendable>: Equatable {
    let key: Key
    /// Nil for flags and for an optional value that wasn't given.
    let value: Text?
    /// As the user spelled it, for errors.
    let spelling: String
}

struct OptionParser<Key: Equatable & Sendable> {
    /// For the hint in errors.
    let command: String
    let definitions: [OptionDefinition<Key>]
    /// Options may stand behind operands too.
    var isInterspersed = false

    private static var dash: UInt8 { UInt8(ascii: "-") }

    /// How far the parser has come.
    private struct Progress {
        var arguments: ArraySlice<Text>
        var options: [ParsedOption<Key>] = []
    }

    func parse(_ arguments: [Text]) throws(ContainerError) -> (options: [ParsedOption<Key>], operands: [Text]) {
        var progress = Progress(arguments: arguments[...])
        var operands: [Text] = []
        while let bytes = progress.arguments.first?.bytes {
            // A dash alone is an operand, as everywhere.
            guard bytes.count > 1, bytes[0] == Self.dash else {
                guard isInterspersed else { break }
                operands.append(progress.arguments.removeFirst())
                continue
            }
            progress.arguments.removeFirst()
            if bytes == [Self.dash, Self.dash] { break }
            if bytes[1] == Self.dash {
                try parseLong(bytes[2...], &progress)
            } else {
                try parseShort(bytes[1...], &progress)
            }
        }
        return (progress.options, operands + progress.arguments)
    }

    private func parseLong(_ body: ArraySlice<UInt8>, _ progress: inout Progress) throws(ContainerError) {
        let name = body.prefix { $0 != UInt8(ascii: "=") }
        let spelling = "--" + String(decoding: name, as: UTF8.self)
        guard let definition = definitions.first(where: { $0.long.utf8.elementsEqual(name) }) else {
            throw usage("unknown option \(spelling)")
        }
        let given = name.count < body.count ? Text(bytes: Array(body[(name.endIndex + 1)...])) : nil
        try add(definition, spelling, given, &progress)
    }

    private func parseShort(_ body: ArraySlice<UInt8>, _ progress: inout Progress) throws(ContainerError) {
        var rest = body
        while let letter = rest.popFirst() {
            let spelling = "-" + String(decoding: [letter], as: UTF8.self)
            guard let definition = definitions.first(where: { $0.short == letter }) else {
                let whole = String(decoding: body, as: UTF8.self)
                throw usage(body.count == 1 ? "unknown option \(spelling)" : "unknown option \(spelling) in -\(whole)")
            }
            var given: Text?
            let hasEquals = rest.first == UInt8(ascii: "=")
            if hasEquals || (!rest.isEmpty && !definition.isFlag) {
                given = Text(bytes: Array(hasEquals ? rest.dropFirst() : rest))
                rest = []
            }
            try add(definition, spelling, given, &progress)
        }
    }

    private func add(
        _ definition: OptionDefinition<Key>, _ spelling: String, _ given: Text?, _ progress: inout Progress
    ) throws(ContainerError) {
        var value = given
        switch definition.value {
        case .none:
            switch given?.string {
            case nil, "true", "1", "t": break
            case "false", "0", "f": return progress.options.removeAll { $0.key == definition.key }
            case .some(let text): throw usage("the option \(spelling) is on or off, not \"\(text)\": leave the value out")
            }
            value = nil
        case .optional: break
        case .required(let name):
            if value == nil { value = progress.arguments.popFirst() }
            if value == nil { throw usage("the option \(spelling) needs a value: \(spelling) \(name)") }
        }
        progress.options.append(ParsedOption(key: definition.key, value: value, spelling: spelling))
    }

    func usage(_ sentence: String) -> ContainerError { .usage(sentence, command: command) }

    /// The options' part of a help text, one paragraph of at most 100 columns.
    var help: String {
        var lines = ""
        for definition in definitions {
            let short = definition.short.map { "-" + String(decoding: [$0], as: UTF8.self) + ", " } ?? "    "
            let value =
                switch definition.value {
                case .none: ""
                case .required(let name): " " + name
                case .optional(let name): "[=" + name + "]"
                }
            let left = "  \(short)--\(definition.long)\(value)"
            lines += left + String(repeating: " ", count: max(1, 32 - left.utf8.count)) + definition.help + "\n"
        }
        return lines
    }
}
