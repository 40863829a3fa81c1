// Environments as lists of NAME=VALUE, merged by Docker's rules.
import Wire

enum Environment {
    /// Variables of a container. Also bounds the work of merging, which is quadratic.
    static let limit = 4096

    private static let equals = UInt8(ascii: "=")

    static func entry(_ name: Text, _ value: Text) -> Text {
        // Neither part holds a NUL, so neither does the whole.
        Text(bytes: name.bytes + [equals] + value.bytes) ?? name
    }

    static func name(of entry: Text) -> ArraySlice<UInt8> { entry.bytes.prefix { $0 != equals } }

    private static func hasValue(_ entry: Text) -> Bool { entry.bytes.contains(equals) }

    /// The user's entries, and of the image's those whose names the user doesn't give. A user's name without a value removes the image's.
    static func merge(user: [Text], image: [Text]) -> [Text] {
        user + image.filter { entry in !user.contains { name(of: $0) == name(of: entry) } }
    }

    /// `entries` laid over `defaults`: the last of several with one name wins and keeps the first one's place; a name without a value is removed.
    static func overlay(_ entries: [Text], on defaults: [Text]) -> [Text] {
        var result = defaults
        for entry in entries {
            // Lists are short: a search is cheaper than building a table.
            if let place = result.firstIndex(where: { name(of: $0) == name(of: entry) }) {
                result[place] = entry
            } else {
                result.append(entry)
            }
        }
        return result.filter(hasValue)
    }
}
