// Environments as lists of NAME=VALUE, merged by Docker's rules.
import Wire

enum Environment {
    private static let equals = UInt8(ascii: "=")

    static func entry(_ name: Text, _ value: Text) -> Text {
        // Neither part holds a NUL, so neither does the whole.
        Text(bytes: name.bytes + [equals] + value.bytes) ?? name
    }

    static func name(of entry: Text) -> ArraySlice<UInt8> { entry.bytes.prefix { $0 != equals } }

    private static func hasValue(_ entry: Text) -> Bool { entry.bytes.contains(equals) }

    /// The user's entries, and of the image's those whose names the user doesn't give. A user's name without a value removes the image's.
    static func merge(user: [Text], image: [Text]) -> [Text] {
        let names = Set(user.map(name(of:)))
        return user + image.filter { !names.contains(name(of: $0)) }
    }

    /// `entries` laid over `defaults`: the last of several with one name wins and keeps the first one's place; a name without a value is removed.
    static func overlay(_ entries: [Text], on defaults: [Text]) -> [Text] {
        var result: [Text?] = []
        var places: [ArraySlice<UInt8>: Int] = [:]
        for entry in defaults + entries {
            let name = name(of: entry)
            let kept = hasValue(entry) ? entry : nil
            if let place = places[name] {
                result[place] = kept
            } else {
                places[name] = result.count
                result.append(kept)
            }
        }
        return result.compactMap { $0 }
    }
}
