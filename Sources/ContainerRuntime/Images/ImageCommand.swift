// The commands for images in the store, with Docker's names, options and texts.
import Images
import CLinux
import Glibc
import OCI
import Progress
public import Wire

/// What the commands take from their surroundings.
public struct ImageSurroundings {
    /// NAME=VALUE each.
    public var environment: [Text]
    /// Writes text on standard output.
    public var print: (String) -> Void
    /// Writes a line on standard error.
    public var report: (String) -> Void

    public init(environment: [Text], print: @escaping (String) -> Void, report: @escaping (String) -> Void) {
        self.environment = environment
        self.print = print
        self.report = report
    }

    func openStore() throws(ContainerError) -> ContentStore { try ContainerRuntime.openStore(environment) }

    /// A display on standard error.
    func observer(_ words: ProgressWords, isQuiet: Bool) -> TransferObserver {
        let prefix = Array("TERM=".utf8)
        let terminal = environment.first { $0.bytes.starts(with: prefix) }.map { String(decoding: $0.bytes.dropFirst(prefix.count), as: UTF8.self) }
        let progress = TransferProgress(.onStandardError(isQuiet: isQuiet, terminal: terminal), words)
        return TransferObserver(
            begin: { progress.begin($0) },
            moved: { layer, bytes in
                progress.moved(layer, bytes)
                progress.drawInTime()
            },
            finished: { layer, isNew in
                progress.finish(layer, isNew: isNew)
                progress.draw()
            })
    }
}

/// This user's store, made where there is none.
func openStore(_ environment: [Text]) throws(ContainerError) -> ContentStore {
    do throws(StoreError) { return try ContentStore.open(storeDirectory(environment)) } catch { throw .store(error) }
}

/// Where this user's store is.
private func storeDirectory(_ environment: [Text]) throws(StoreError) -> [UInt8] {
    try StoreLocation.directory(isRoot: geteuid() == 0) { name in
        let prefix = Text(stringLiteral: name).bytes + [UInt8(ascii: "=")]
        return environment.first { $0.bytes.starts(with: prefix) }.map { Array($0.bytes.dropFirst(prefix.count)) }
    }
}

public enum ImageCommand: Sendable {
    case list, inspect, tag, remove, load, save, prune

    /// Nil for other words.
    public init?(_ word: String) {
        switch word {
        case "images": self = .list
        case "inspect": self = .inspect
        case "tag": self = .tag
        case "rmi": self = .remove
        case "load": self = .load
        case "save": self = .save
        case "prune": self = .prune
        default: return nil
        }
    }

    /// The word after `swiftlet image`; nil for other words.
    public init?(subcommand word: String) {
        switch word {
        case "ls", "list": self = .list
        case "rm", "remove": self = .remove
        case "inspect", "tag", "load", "save", "prune": self.init(word)
        default: return nil
        }
    }

    /// Returns the exit status.
    public func run(_ arguments: [Text], in surroundings: ImageSurroundings) throws(ContainerError) -> Int32 {
        switch self {
        case .list: try ListImages.run(arguments, in: surroundings)
        case .inspect: try InspectImages.run(arguments, in: surroundings)
        case .tag: try TagImage.run(arguments, in: surroundings)
        case .remove: try RemoveImages.run(arguments, in: surroundings)
        case .load: try LoadImages.run(arguments, in: surroundings)
        case .save: try SaveImages.run(arguments, in: surroundings)
        case .prune: try PruneImages.run(arguments, in: surroundings)
        }
    }
}

extension ContentStore {
    /// What the user calls an image, or Docker's sentence.
    func find(_ text: Text) throws(ContainerError) -> ImageSelection {
        do throws(StoreError) {
            if let found = try select(text.string) { return found }
        } catch { throw .store(error) }
        throw .noSuchImage(text.string)
    }
}

extension Digest {
    /// Docker's short form of an ID.
    var short: String { String(decoding: hexadecimal.utf8.prefix(12), as: UTF8.self) }
}

extension OptionParser {
    /// Nil where the arguments ask for the command's help, which is printed then.
    func parse(
        _ arguments: [Text], orPrint help: String, for key: Key, in surroundings: ImageSurroundings
    ) throws(ContainerError) -> (options: [ParsedOption<Key>], operands: [Text])? {
        let parsed = try parse(arguments)
        guard parsed.options.contains(where: { $0.key == key }) else { return parsed }
        surroundings.print(help)
        return nil
    }
}

/// Table or JSON.
enum OutputFormat {
    case table, json

    init(_ option: ParsedOption<some Equatable & Sendable>, or usage: (String) -> ContainerError) throws(ContainerError) {
        switch option.value?.string {
        case "table": self = .table
        case "json": self = .json
        default: throw usage("--format \"\(option.value?.string ?? "")\": it must be table or json")
        }
    }
}
