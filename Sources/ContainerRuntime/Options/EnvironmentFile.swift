// --env-file in Docker's format: NAME=VALUE taken literally, NAME alone taken from the caller, lines that begin with # and empty lines skipped.
import Wire

enum EnvironmentFile {
    /// In bytes.
    static let sizeLimit = 4 << 20

    /// The entries in order. `path` is for errors, `caller` looks a variable up in the caller's environment.
    static func parse(_ bytes: [UInt8], path: String, caller: (Text) -> Text?) throws(ContainerError) -> [Text] {
        var entries: [Text] = []
        var rest = bytes[...]
        if rest.starts(with: [0xEF, 0xBB, 0xBF]) { rest = rest.dropFirst(3) }
        for (number, raw) in rest.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated() {
            func problem(_ text: String) -> ContainerError { .environmentFile(path: path, line: number + 1, problem: text) }
            // Leading blanks are ignored, trailing ones belong to the value; a carriage return before the line feed is dropped.
            var line = raw.drop { isBlank($0) }
            if line.last == 0x0D { line = line.dropLast() }
            if line.isEmpty || line.first == UInt8(ascii: "#") { continue }
            guard let text = Text(bytes: Array(line)) else { throw problem("it holds a NUL byte: remove it") }
            let name = line.prefix { $0 != UInt8(ascii: "=") }
            if name.isEmpty { throw problem("there is no variable name before the \"=\": write NAME=VALUE") }
            if name.contains(where: isBlank) {
                throw problem("the variable \"\(String(decoding: name, as: UTF8.self))\" contains white space: write NAME=VALUE")
            }
            if name.count < line.count {
                entries.append(text)
            } else if let value = caller(text) {
                entries.append(Environment.entry(text, value))
            }
        }
        return entries
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || (byte >= 0x09 && byte <= 0x0D) }
}
