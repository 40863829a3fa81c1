// The whole life of a file server's process, in order: the jail closes, and requests are answered one after another.
import FUSE
import FileServer
import Glibc
import Jail
import LaunchConfiguration
import LinuxSystem

enum FileService {
    /// Directories that a guest may read at once.
    private static let directoryLimit = 1024
    /// Descriptors that are neither nodes nor directories.
    private static let ownDescriptors = 32

    /// Returns the process's exit status. Errors are printed here.
    static func run(_ words: [String]) -> Int32 {
        guard let arguments = FileServerArguments(words), let identity = Identity(rawValue: arguments.identity),
            let mode = CacheMode(rawValue: arguments.cache)
        else {
            printError("swiftlet: swiftlet-files is started by 'swiftlet run', not by hand")
            return Jail.failure
        }
        do {
            try run(arguments, as: identity, mode)
            return 0
        } catch {
            printError("swiftlet: the host's files can't be served: \(error)")
            return Jail.failure
        }
    }

    private static func run(_ arguments: FileServerArguments, as identity: Identity, _ mode: CacheMode) throws {
        let lifeline = OwnedDescriptor(owning: arguments.lifeline)
        let filters = try FilterSet(reading: arguments.filters)
        close(arguments.filters)
        let sources = arguments.trees.map { Jail.TreeSource(descriptor: $0.descriptor, isReadOnly: $0.isReadOnly) }
        let roots = try Jail.enterAsFileServer(sources, as: identity, lifeline: lifeline)
        // What a name could have led out of.
        for source in sources { close(source.descriptor) }
        umask(0)
        let trees = zip(roots, sources).map { Tree(root: $0, isReadOnly: $1.isReadOnly) }
        let nodes = try max(1, Jail.descriptorLimit() - directoryLimit - ownDescriptors - trees.count)
        let server = try FileServer(
            trees, mode: mode, limits: FileServer.Limits(nodes: nodes, directories: directoryLimit), descriptors: "",
            actsForOthers: identity == .fresh)
        let socket = PacketSocket(owning: OwnedDescriptor(owning: arguments.socket), limit: Request.lengthLimit)
        filters.reportViolations()
        try Jail.lockFileServer(filters)
        try serve(server, socket, arguments.memoryLimits)
    }

    /// Until the VMM has ended.
    private static func serve(_ server: FileServer, _ socket: PacketSocket, _ memoryLimits: [Int32]) throws {
        do throws(SystemError) {
            while let request = try socket.receive() {
                if request.bytes == FileServerNotice.outOfMemory {
                    for limit in memoryLimits { try? writeAll(limit, Array("0".utf8)) }
                    continue
                }
                let reply: Reply?
                do throws(RequestError) { reply = try server.serve(request.bytes) } catch {
                    // The VMM sends none without a header: it has been taken over.
                    return printError("swiftlet: the VMM sent its file server something that is no request: it is not served any more")
                }
                if let reply {
                    try socket.send(reply.answer.bytes, with: reply.descriptor)
                    withExtendedLifetime(reply.file) {}
                }
            }
        } catch { if error.errno != EPIPE && error.errno != ECONNRESET { throw error } }
    }
}
