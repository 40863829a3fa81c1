// `swiftlet load`
import Glibc
import Images
import OCI
import Progress
import Wire

enum LoadImages {
    private enum Option: Equatable, Sendable { case input, quiet, help }

    private static let parser = OptionParser<Option>(
        command: "swiftlet load",
        definitions: [
            .init(.input, "input", short: "i", .required("FILE"), "Read this archive or layout instead of standard input"),
            .init(.quiet, "quiet", short: "q", .none, "Show no progress"),
            .init(.help, "help", .none, "Show this help"),
        ], isInterspersed: true)

    private static var help: String {
        """
        Usage: swiftlet load [OPTIONS]

        Stores the images of an archive that "docker save" or "buildah push" wrote, of an OCI archive, or
        of a directory in OCI layout.

        Options:
        \(parser.help)
        """
    }

    static func run(_ arguments: [Text], in surroundings: ImageSurroundings) throws(ContainerError) -> Int32 {
        guard let (options, operands) = try parser.parse(arguments, orPrint: help, for: .help, in: surroundings) else { return 0 }
        if let extra = operands.first { throw parser.usage("\"\(extra.string)\" is not expected: write -i FILE, or < FILE") }
        let path = options.last { $0.key == .input }?.value
        if path == nil && isatty(STDIN_FILENO) == 1 { throw .emptyInput }

        let store = try surroundings.openStore()
        let observer = surroundings.observer(.load, isQuiet: options.contains { $0.key == .quiet })
        let images: [LoadedImage]
        do throws(ImageError) {
            images =
                if let path { try ImageImport.load(path: path.bytes, into: store, observer) } else {
                    try ImageImport.load(descriptor: STDIN_FILENO, into: store, observer)
                }
        } catch { throw .image(name: path?.string ?? "standard input", error) }
        for image in images {
            for name in image.names { surroundings.print("Loaded image: \(name.familiar)\n") }
            if image.names.isEmpty { surroundings.print("Loaded image ID: \(image.id)\n") }
            if let tag = image.tag {
                surroundings.report("it is only called \"\(tag)\" there: name it with 'swiftlet tag \(image.id.short) NAME:\(tag)'")
            }
        }
        return 0
    }
}
