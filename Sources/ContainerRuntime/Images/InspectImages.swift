// `swiftlet inspect`
import Images
import OCI
import Wire

enum InspectImages {
    private enum Option: Equatable, Sendable { case format, help }

    private static let parser = OptionParser<Option>(
        command: "swiftlet inspect",
        definitions: [
            .init(.format, "format", short: "f", .required("FORMAT"), "json: everything on one line"),
            .init(.help, "help", .none, "Show this help"),
        ], isInterspersed: true)

    private static var help: String {
        """
        Usage: swiftlet inspect [OPTIONS] IMAGE [IMAGE...]

        Shows what is known about images as a JSON array.

        Options:
        \(parser.help)
        """
    }

    static func run(_ arguments: [Text], in surroundings: ImageSurroundings) throws(ContainerError) -> Int32 {
        guard let (options, operands) = try parser.parse(arguments, orPrint: help, for: .help, in: surroundings) else { return 0 }
        var isIndented = true
        for option in options where option.key == .format {
            guard option.value?.string == "json" else { throw parser.usage("--format \"\(option.value?.string ?? "")\": only json is there") }
            isIndented = false
        }
        guard !operands.isEmpty else { throw parser.usage("no image: name one or more") }

        let store = try surroundings.openStore()
        var found: [JSONValue] = []
        var problems: [ContainerError] = []
        for operand in operands {
            do throws(ContainerError) { found.append(try describe(store.find(operand), store)) } catch { problems.append(error) }
        }
        surroundings.print(try JSONValue.array(found).output(indented: isIndented) + "\n")
        for problem in problems { surroundings.report(problem.description) }
        return problems.isEmpty ? 0 : 1
    }

    private static func describe(_ selection: ImageSelection, _ store: ContentStore) throws(ContainerError) -> JSONValue {
        do throws(StoreError) {
            guard let target = selection.entries.first?.descriptor else { throw .noManifest }
            let documents = try store.documents(target)
            // All names of the image, not only the one that was asked for.
            var tags: [String] = []
            var digests: [String] = []
            for image in try store.images() where (try? store.documents(image.descriptor).id) == documents.id {
                guard let name = image.name else { continue }
                if name.tag != nil && name.digest == nil { tags.append(name.familiar) }
                let digest = "\(name.familiarRepository)@\(name.digest ?? image.descriptor.digest)"
                if !digests.contains(digest) { digests.append(digest) }
            }
            return json(documents, target, tags: tags, digests: digests)
        } catch { throw .store(error) }
    }

    private static func json(_ documents: ImageDocuments, _ target: Descriptor, tags: [String], digests: [String]) -> JSONValue {
        let details = documents.details
        let rootFileSystem = JSONValue.object(("Type", .string("layers")), ("Layers", .strings(details.diffIDs.map(\.description))))
        let variant = details.platform.variant
        return .object(
            ("Id", .string(documents.id.description)), ("RepoTags", .strings(tags)), ("RepoDigests", .strings(digests)),
            ("Comment", .string(details.comment)), ("Created", .string(details.created)), ("Author", .string(details.author)),
            ("Config", details.process ?? .object([])), ("Architecture", .string(details.platform.architecture)),
            ("Variant", variant.isEmpty ? nil : .string(variant)), ("Os", .string(details.platform.operatingSystem)),
            ("Size", .integer(Int64(clamping: documents.size))), ("RootFS", rootFileSystem), ("Descriptor", target.with(annotations: [:]).json))
    }
}
