// `swiftlet save`
import Glibc
import Images
import LinuxSystem
import OCI
import Progress
import Wire

enum SaveImages {
    private enum Option: Equatable, Sendable { case output, quiet, help }

    private static let parser = OptionParser<Option>(
        command: "swiftlet save",
        definitions: [
            .init(.output, "output", short: "o", .required("FILE"), "Write to this file instead of standard output"),
            .init(.quiet, "quiet", short: "q", .none, "Show no progress"),
            .init(.help, "help", .none, "Show this help"),
        ], isInterspersed: true)

    private static var help: String {
        """
        Usage: swiftlet save [OPTIONS] IMAGE [IMAGE...]

        Writes images to an archive that "docker load", skopeo and "swiftlet load" read. A name without a
        tag means all tags of that name.

        Options:
        \(parser.help)
        """
    }

    static func run(_ arguments: [Text], in surroundings: ImageSurroundings) throws(ContainerError) -> Int32 {
        guard let (options, operands) = try parser.parse(arguments, orPrint: help, for: .help, in: surroundings) else { return 0 }
        guard !operands.isEmpty else { throw parser.usage("no image: name one or more") }
        let path = options.last { $0.key == .output }?.value
        if path == nil && isatty(STDOUT_FILENO) == 1 { throw .outputIsATerminal }

        let store = try surroundings.openStore()
        var images: [SavedImage] = []
        for operand in operands {
            for entry in try entries(operand, store) {
                let names = entry.name.map { [$0] } ?? []
                if let known = images.firstIndex(where: { $0.descriptor.digest == entry.descriptor.digest }) {
                    images[known].names += names.filter { !images[known].names.contains($0) }
                } else {
                    images.append(SavedImage(names: names, descriptor: entry.descriptor))
                }
            }
        }
        let observer = surroundings.observer(.save, isQuiet: options.contains { $0.key == .quiet })
        func write(to output: Int32, _ name: String) throws(ContainerError) {
            do throws(ExportError) { try ImageExport.write(images, from: store, to: output, observer) } catch {
                switch error {
                case .store(let error): throw .store(error)
                case .output(let error): throw .output(path: name, error)
                }
            }
        }
        if let path {
            try OutputFile.write(path) { output throws(ContainerError) in try write(to: output, path.string) }
        } else {
            try write(to: STDOUT_FILENO, "standard output")
        }
        return 0
    }

    /// An ID has no names; a name without a tag has all of them.
    private static func entries(_ operand: Text, _ store: ContentStore) throws(ContainerError) -> [StoredImage] {
        let text = operand.string
        do throws(StoreError) {
            if let name = try? ImageName(text), name.familiarRepository == text || "\(name.registry)/\(name.repository)" == text {
                let tags = try store.images().filter {
                    $0.name?.registry == name.registry && $0.name?.repository == name.repository && $0.name?.tag != nil
                }
                if !tags.isEmpty { return tags }
            }
        } catch { throw .store(error) }
        switch try store.find(operand) {
        case .named(let entry): return [entry]
        case .identified(_, let entries): return entries.prefix(1).map { StoredImage(name: nil, descriptor: $0.descriptor) }
        }
    }
}
