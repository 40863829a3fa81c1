// `swiftlet tag`
import Images
import OCI
import Wire

enum TagImage {
    private enum Option: Equatable, Sendable { case help }

    private static let parser = OptionParser<Option>(
        command: "swiftlet tag", definitions: [.init(.help, "help", .none, "Show this help")], isInterspersed: true)

    private static var help: String {
        """
        Usage: swiftlet tag SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]

        Gives an image of the store another name.

        Options:
        \(parser.help)
        """
    }

    static func run(_ arguments: [Text], in surroundings: ImageSurroundings) throws(ContainerError) -> Int32 {
        guard let (_, operands) = try parser.parse(arguments, orPrint: help, for: .help, in: surroundings) else { return 0 }
        guard operands.count == 2 else { throw parser.usage("give two names: the image's, and the new one") }
        let name: ImageName
        do throws(OCIError) { name = try ImageName(operands[1].string) } catch { throw .imageName(error) }
        guard name.digest == nil else { throw .imageName(.invalidName(operands[1].string, problem: "a new name has a tag, not a digest")) }

        let store = try surroundings.openStore()
        guard let source = try store.find(operands[0]).entries.first else { throw .noSuchImage(operands[0].string) }
        do throws(StoreError) { try store.record(name, source.descriptor) } catch { throw .store(error) }
        return 0
    }
}
