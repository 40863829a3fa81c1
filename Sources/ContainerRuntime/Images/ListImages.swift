// `swiftlet images`
import Glibc
import Images
import OCI
import Wire

enum ListImages {
    private enum Option: Equatable, Sendable { case all, quiet, digests, noTruncation, format, help }

    private static let parser = OptionParser<Option>(
        command: "swiftlet images",
        definitions: [
            .init(.all, "all", short: "a", .none, "Accepted: there are no intermediate images"),
            .init(.digests, "digests", .none, "Show digests"),
            .init(.format, "format", .required("FORMAT"), "table or json (one object a line)"),
            .init(.noTruncation, "no-trunc", .none, "Show whole IDs"),
            .init(.quiet, "quiet", short: "q", .none, "Show IDs only"),
            .init(.help, "help", .none, "Show this help"),
        ], isInterspersed: true)

    private static var help: String {
        """
        Usage: swiftlet images [OPTIONS] [NAME[:TAG]]

        Lists the images in the store; NAME may hold the wildcards * and ?. SIZE is what an image's
        compressed layers take in the store.

        Options:
        \(parser.help)
        """
    }

    private struct Row {
        let repository: String
        let tag: String
        let digest: String
        let documents: ImageDocuments
        let created: Instant?
    }

    static func run(_ arguments: [Text], in surroundings: ImageSurroundings) throws(ContainerError) -> Int32 {
        guard let (options, operands) = try parser.parse(arguments, orPrint: help, for: .help, in: surroundings) else { return 0 }
        guard operands.count <= 1 else { throw parser.usage("\"\(operands[1].string)\" is not expected: give at most one name") }
        var format = OutputFormat.table
        for option in options where option.key == .format { format = try OutputFormat(option, or: parser.usage) }

        let (rows, problems) = try rows(of: surroundings.openStore(), matching: operands.first?.string)
        let isWhole = options.contains { $0.key == .noTruncation }
        if options.contains(where: { $0.key == .quiet }) {
            for row in rows { surroundings.print(id(row, isWhole) + "\n") }
        } else if format == .json {
            for row in rows { try surroundings.print(json(row, isWhole)) }
        } else {
            surroundings.print(table(rows, isWhole, withDigests: options.contains { $0.key == .digests }))
        }
        for problem in problems { surroundings.report(problem) }
        return problems.isEmpty ? 0 : 1
    }

    /// The newest first. An image that can't be read doesn't hide the others.
    private static func rows(
        of store: ContentStore, matching pattern: String?
    ) throws(ContainerError) -> (rows: [Row], problems: [String]) {
        let images: [StoredImage]
        do throws(StoreError) { images = try store.images() } catch { throw .store(error) }
        var rows: [Row] = []
        var problems: [String] = []
        for image in images {
            if let pattern, !matches(image.name, pattern) { continue }
            // A digest's entry says nothing more beside a tag's of the same content.
            if let name = image.name, name.digest != nil,
                images.contains(where: {
                    $0.descriptor.digest == image.descriptor.digest && $0.name?.tag != nil && $0.name?.repository == name.repository
                        && $0.name?.registry == name.registry
                })
            {
                continue
            }
            do throws(StoreError) {
                let documents = try store.documents(image.descriptor)
                rows.append(
                    Row(
                        repository: image.name?.familiarRepository ?? "<none>", tag: image.name?.tag ?? "<none>",
                        digest: (image.name?.digest ?? image.descriptor.digest).description, documents: documents,
                        created: Instant(documents.details.created)))
            } catch { problems.append("image \(image.name?.familiar ?? image.descriptor.digest.description): \(error)") }
        }
        rows.sort {
            let (first, second) = ($0.created?.seconds ?? Int64.min, $1.created?.seconds ?? Int64.min)
            return first == second ? ($0.repository, $0.tag) < ($1.repository, $1.tag) : first > second
        }
        return (rows, problems)
    }

    /// Docker's rule: the pattern fits the whole name or the repository.
    private static func matches(_ name: ImageName?, _ pattern: String) -> Bool {
        guard let name else { return false }
        if let wanted = try? ImageName(pattern) {
            if name == wanted { return true }
            if name.registry == wanted.registry && name.repository == wanted.repository && wanted.familiarRepository == pattern { return true }
        }
        return [name.familiar, name.familiarRepository, name.canonical].contains { text in
            // SAFETY: fnmatch reads both strings during the call.
            unsafe pattern.withCString { pattern in unsafe text.withCString { unsafe fnmatch(pattern, $0, FNM_PATHNAME) == 0 } }
        }
    }

    private static func id(_ row: Row, _ isWhole: Bool) -> String { isWhole ? row.documents.id.description : row.documents.id.short }

    private static func age(_ row: Row) -> String { row.created?.age(at: Instant(seconds: Int64(time(nil)))) ?? "N/A" }

    private static func table(_ rows: [Row], _ isWhole: Bool, withDigests: Bool) -> String {
        var table = Table(["REPOSITORY", "TAG"] + (withDigests ? ["DIGEST"] : []) + ["IMAGE ID", "CREATED", "SIZE"])
        for row in rows {
            table.add(
                [row.repository, row.tag] + (withDigests ? [row.digest] : [])
                    + [id(row, isWhole), age(row), Quantities.words(row.documents.size)])
        }
        return table.text
    }

    private static func json(_ row: Row, _ isWhole: Bool) throws(ContainerError) -> String {
        let object = JSONValue.object(
            ("CreatedAt", .string(row.created?.text ?? "N/A")), ("CreatedSince", .string(age(row))), ("Digest", .string(row.digest)),
            ("ID", .string(id(row, isWhole))), ("Repository", .string(row.repository)), ("Size", .string(Quantities.words(row.documents.size))),
            ("Tag", .string(row.tag)))
        return try object.output(indented: false) + "\n"
    }
}

extension JSONValue {
    /// Documents have at most 4 MiB; escaping makes each byte six at most.
    private static var outputLimit: Int { 64 << 20 }

    func output(indented: Bool) throws(ContainerError) -> String {
        do throws(OCIError) {
            return String(decoding: try text(limit: Self.outputLimit, indented: indented), as: UTF8.self)
        } catch { throw .store(.document(error)) }
    }
}
