// `swiftlet rmi`
import Images
import OCI
import Wire

enum RemoveImages {
    private enum Option: Equatable, Sendable { case force, noPrune, help }

    /// Most others are gone in a moment; nobody waits for a pull to end. In tenths of a second.
    private static let patience = 3

    private static let parser = OptionParser<Option>(
        command: "swiftlet rmi",
        definitions: [
            .init(.force, "force", short: "f", .none, "Remove all names of an image that is given by its ID"),
            .init(.noPrune, "no-prune", .none, "Leave the content for 'swiftlet prune'"),
            .init(.help, "help", .none, "Show this help"),
        ], isInterspersed: true)

    private static var help: String {
        """
        Usage: swiftlet rmi [OPTIONS] IMAGE [IMAGE...]

        Removes names of images, and images that have no name left. Running containers keep what they need.

        Options:
        \(parser.help)
        """
    }

    static func run(_ arguments: [Text], in surroundings: ImageSurroundings) throws(ContainerError) -> Int32 {
        guard let (options, operands) = try parser.parse(arguments, orPrint: help, for: .help, in: surroundings) else { return 0 }
        guard !operands.isEmpty else { throw parser.usage("no image: name one or more") }
        let store = try surroundings.openStore()
        let isForced = options.contains { $0.key == .force }
        var status: Int32 = 0
        var gone: [ImageDocuments] = []
        for operand in operands {
            do throws(ContainerError) {
                gone += try remove(operand, from: store, isForced: isForced) { surroundings.print("Untagged: \($0)\n") }
            } catch {
                surroundings.report(error.description)
                // As in Docker: who insists on removing what isn't there has what they want.
                if case .noSuchImage = error, isForced { continue }
                status = 1
            }
        }
        if options.contains(where: { $0.key == .noPrune }) { return status }

        let collected: Collected?
        let candidates = gone.map { $0.manifest.layers.map(\.digest) }
        do throws(StoreError) {
            collected = try store.collect(partials: false, patience: patience) { needed throws(StoreError) in
                try DiskRemoval.remove(from: store, candidates: candidates, needed: needed)
            }
        } catch { throw .store(error) }
        for digest in deleted(gone, collected) { surroundings.print("Deleted: \(digest)\n") }
        if collected == nil {
            surroundings.report("the space is not freed yet, because another swiftlet uses the store: run 'swiftlet prune' later")
        }
        return status
    }

    /// Returns the images that have no name left.
    private static func remove(
        _ operand: Text, from store: ContentStore, isForced: Bool, untagged: (String) -> Void
    ) throws(ContainerError) -> [ImageDocuments] {
        let selection = try store.find(operand)
        if case .identified(let id, let entries) = selection, Set(entries.compactMap { $0.name?.familiarRepository }).count > 1, !isForced {
            throw .conflict("unable to delete \(id.short) (must be forced) - image is referenced in multiple repositories")
        }
        do throws(StoreError) {
            let all = try store.images()
            // An image that can't be read can be removed by its name all the same.
            let id = selection.entries.first.flatMap { try? store.documents($0.descriptor).id }
            let image = all.filter { entry in
                selection.entries.contains(entry) || (id != nil && (try? store.documents(entry.descriptor).id) == id)
            }
            let documents = image.compactMap { try? store.documents($0.descriptor) }
            var leaving = selection.entries
            if case .named(let entry) = selection {
                let others = image.filter { $0 != entry }
                // Digests of an image whose last tag goes, go with it.
                if entry.name?.digest == nil, others.allSatisfy({ $0.name == nil || $0.name?.digest != nil }) { leaving += others }
            }
            for entry in try store.forget({ leaving.contains($0) }) {
                if let name = entry.name { untagged(name.familiar) }
            }
            return image.allSatisfy { leaving.contains($0) } ? documents : []
        } catch { throw .store(error) }
    }

    /// IDs and layers, each once.
    private static func deleted(_ images: [ImageDocuments], _ collected: Collected?) -> [Digest] {
        var digests: [Digest] = []
        for image in images {
            let layers = image.manifest.layers.map(\.digest).filter { collected?.blobs.contains($0) ?? false }
            for digest in [image.id] + layers where !digests.contains(digest) { digests.append(digest) }
        }
        return digests
    }
}
