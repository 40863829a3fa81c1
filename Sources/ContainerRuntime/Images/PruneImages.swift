// `swiftlet prune`
import Glibc
import Images
import LinuxSystem
import OCI
import Wire

enum PruneImages {
    private enum Option: Equatable, Sendable { case all, force, filter, help }

    /// How long it waits for others to leave the store, in tenths of a second.
    private static let patience = 50

    private static let parser = OptionParser<Option>(
        command: "swiftlet prune",
        definitions: [
            .init(.all, "all", short: "a", .none, "Remove all images, not only those without a name"),
            .init(.filter, "filter", .required("until=TIME"), "Only images made before: 24h, a date or seconds"),
            .init(.force, "force", short: "f", .none, "Do not ask"),
            .init(.help, "help", .none, "Show this help"),
        ], isInterspersed: true)

    private static var help: String {
        """
        Usage: swiftlet prune [OPTIONS]

        Removes images without a name, content that no image needs, and downloads that nobody goes on with.
        Running containers keep what they need.

        Options:
        \(parser.help)
        """
    }

    static func run(_ arguments: [Text], in surroundings: ImageSurroundings) throws(ContainerError) -> Int32 {
        guard let (options, operands) = try parser.parse(arguments, orPrint: help, for: .help, in: surroundings) else { return 0 }
        if let extra = operands.first { throw parser.usage("\"\(extra.string)\" is not expected: prune takes options only") }
        var until: Instant?
        for option in options where option.key == .filter { until = try limit(option.value?.string ?? "") }
        let isAll = options.contains { $0.key == .all }
        if !options.contains(where: { $0.key == .force }) {
            let subject = isAll ? "all images" : "all images without a name"
            surroundings.print("WARNING! This will remove \(subject) and what no image needs.\nAre you sure you want to continue? [y/N] ")
            guard isConfirmed() else {
                surroundings.print(total(0))
                return 0
            }
        }

        let store = try surroundings.openStore()
        do throws(StoreError) {
            let forgotten = try forget(in: store, isAll: isAll, until: until)
            if !forgotten.isEmpty { surroundings.print("Deleted Images:\n") }
            for image in forgotten {
                surroundings.print(image.name.map { "untagged: \($0.familiar)\n" } ?? "deleted: \(image.descriptor.digest)\n")
            }
            if !forgotten.isEmpty { surroundings.print("\n") }
            let collected = try collect(store)
            surroundings.print(total(collected.bytes))
        } catch { throw .store(error) }
        return 0
    }

    private static func total(_ bytes: UInt64) -> String { "Total reclaimed space: \(Quantities.words(bytes))\n" }

    /// Docker's forms: a duration before now, seconds since 1970, or a time as in RFC 3339, perhaps only its date.
    private static func limit(_ text: String) throws(ContainerError) -> Instant {
        let prefix = "until="
        guard text.utf8.starts(with: prefix.utf8) else { throw parser.usage("--filter \"\(text)\": only until=TIME is there") }
        let value = String(decoding: text.utf8.dropFirst(prefix.utf8.count), as: UTF8.self)
        if let seconds = Quantities.duration(value) { return Instant(seconds: Int64(time(nil)) - seconds) }
        if let seconds = Int64(value) { return Instant(seconds: seconds) }
        if let instant = Instant(value) ?? Instant(value + "Z") ?? Instant(value + "T00:00:00Z") { return instant }
        throw parser.usage("--filter \"\(text)\": it must be a time: 24h, 2026-05-01, or seconds since 1970")
    }

    private static func isConfirmed() -> Bool {
        let answer = (try? readLine(STDIN_FILENO)) ?? []
        return answer.first.map { $0 | 0x20 == UInt8(ascii: "y") } ?? false
    }

    private static func readLine(_ descriptor: Int32) throws(SystemError) -> [UInt8] {
        var line: [UInt8] = []
        while line.count < 256 {
            let next = try readAll(descriptor, limit: 1)
            guard let byte = next.first, byte != 0x0A else { break }
            line.append(byte)
        }
        return line
    }

    private static func forget(in store: ContentStore, isAll: Bool, until: Instant?) throws(StoreError) -> [StoredImage] {
        var kept: Set<Digest> = []
        if let until {
            for image in try store.images() {
                // What doesn't say when it was made is old.
                let created = try? Instant(store.documents(image.descriptor).details.created)
                if let created, created >= until { kept.insert(image.descriptor.digest) }
            }
        }
        return try store.forget { (isAll || $0.name == nil) && !kept.contains($0.descriptor.digest) }
    }

    private static func collect(_ store: ContentStore) throws(StoreError) -> Collected {
        let collected = try store.collect(partials: true, patience: patience) { needed throws(StoreError) in
            try DiskRemoval.remove(from: store, candidates: nil, needed: needed)
        }
        guard let collected else { throw .inUse(path: store.path) }
        return collected
    }
}
