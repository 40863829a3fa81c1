// Answers what a guest asks about files: names, attributes, directories, and the opening of files, whose bytes are then somebody else's business (docs/adr/0016).
//
//   request ──▶ parsed (FUSE) ──▶ node known? ──▶ one call, or a few, on descriptors ──▶ answer, perhaps with an open file
//
// Everything in a request is hostile. What a node is was looked up by us; what its names lead to may change at any moment, by the guest or by a user of the host.
import CLinux
public import FUSE
import Glibc
public import LinuxSystem

/// What goes back to whoever asked.
public struct Reply: ~Copyable {
    public let answer: Answer
    /// What an OPEN or a CREATE has opened; its handle in the answer is 0, the receiver gives it one.
    public let file: OwnedDescriptor?

    /// The file's number as long as this value is there, for sending it.
    public var descriptor: Int32? {
        switch file {
        case .some(let file): file.raw
        case nil: nil
        }
    }
}

public final class FileServer {
    /// How many files, and how many open directories, a guest may have at once.
    public struct Limits: Sendable {
        public var nodes: Int
        public var directories: Int

        public init(nodes: Int, directories: Int) {
            self.nodes = nodes
            self.directories = directories
        }
    }

    /// `FUSE_*` of INIT that we take where they are offered.
    private enum Feature {
        static let asynchronousReads: UInt64 = 1 << 0
        static let truncatingOpen: UInt64 = 1 << 3
        static let bigWrites: UInt64 = 1 << 5
        /// The mask comes with each new file, where a directory's default ACL may take its place.
        static let unmasked: UInt64 = 1 << 6
        static let noticesChanges: UInt64 = 1 << 12
        static let listsWithAttributes: UInt64 = 1 << 13
        static let listsAsNeeded: UInt64 = 1 << 14
        static let parallelDirectories: UInt64 = 1 << 18
        static let accessLists: UInt64 = 1 << 20
        static let pages: UInt64 = 1 << 22
        static let cachesLinks: UInt64 = 1 << 23
        static let mountPoints: UInt64 = 1 << 27
        static let dropsPrivileges: UInt64 = 1 << 28
        static let secondWord: UInt64 = 1 << 30
        /// Requests name a user only where a file is made, as an id-mapped mount has it.
        static let mapsIdentities: UInt64 = 1 << 40

        static let all =
            asynchronousReads | truncatingOpen | bigWrites | unmasked | noticesChanges | listsWithAttributes | listsAsNeeded | parallelDirectories
            | accessLists
            | pages | cachesLinks | mountPoints | dropsPrivileges | secondWord | mapsIdentities
    }

    /// The most that one WRITE brings, in bytes.
    public static let writeLimit: UInt32 = 1 << 20

    let mode: CacheMode
    let limits: Limits
    /// How a file that is held open is named: below this directory of proc(5), or without any where that is the working directory.
    let descriptors: [UInt8]
    /// The trees' roots, in their order.
    let roots: [Node]
    var nodes: NodeTable
    /// By their handles; nil is the directory that holds the trees.
    var directories: [UInt64: OpenDirectory?] = [:]
    var nextDirectory: UInt64 = 1
    /// The guest gives file systems below a tree device numbers of their own.
    private(set) var hasMountPoints = false
    private let actsForOthers: Bool

    /// `descriptors`: "/proc/self/fd/", or "" for a process whose working directory that is. `actsForOthers`: files that the guest's users make belong to these, for which the process must
    /// be root; otherwise they belong to the process's user. The process's umask must be 0, and no other thread may make files.
    public init(
        _ trees: [Tree], mode: CacheMode, limits: Limits, descriptors: String = "/proc/self/fd/", actsForOthers: Bool
    ) throws(SystemError) {
        var roots: [Node] = []
        for tree in trees {
            let root = try OwnedDescriptor.duplicate(of: tree.root.raw)
            let status = try root.fileStatus()
            guard [S_IFDIR, S_IFREG].contains(status.st_mode & S_IFMT) else { throw SystemError(call: "fstat", errno: EOPNOTSUPP) }
            roots.append(Node(root, status, isReadOnly: tree.isReadOnly))
        }
        self.actsForOthers = actsForOthers
        self.roots = roots
        self.mode = mode
        self.limits = limits
        self.descriptors = Array(descriptors.utf8)
        nodes = NodeTable(limit: limits.nodes)
    }

    /// How many files the guest knows.
    public var nodeCount: Int { nodes.count }

    /// Nil: there is nothing to answer. Throws where there is nothing to answer to.
    public func serve(_ bytes: [UInt8]) throws(RequestError) -> Reply? {
        let header = try RequestHeader(bytes, of: bytes.count)
        let request: Request
        do throws(RequestError) { request = try Request(header, bytes) } catch {
            return Reply(header, errno: Self.errno(of: error))
        }
        do throws(SystemError) { return try serve(request) } catch { return Reply(header, errno: error.errno) }
    }

    private static func errno(of error: RequestError) -> Int32 {
        switch error {
        case .unknownOperation: ENOSYS
        case .nameTooLong: ENAMETOOLONG
        case .malformed, .noHeader: EINVAL
        }
    }

    private func serve(_ request: Request) throws(SystemError) -> Reply? {
        let header = request.header
        switch request.operation {
        case .greet(let greeting): return try welcome(greeting, header)
        case .goodbye:
            forgetEverything()
            return Reply(Answer(to: header.unique))
        case .forget(let forgotten):
            // FORGET has its node in the header, BATCH_FORGET in each line.
            for one in forgotten { nodes.forget(one.node == 0 ? header.node : one.node, one.lookups) }
            return nil
        // What is asked for is done before the next request is read.
        case .interrupt: return nil
        case .lookUp(let name): return Reply(Answer(to: header.unique, try entry(of: name, in: header.node)))
        case .getAttributes: return try attributes(header)
        case .setAttributes(let changes):
            try change(try node(header.node), to: changes)
            return try attributes(header)
        case .readLink: return Reply(Answer(to: header.unique, bytes: try target(of: try node(header.node))))
        case .makeSymbolicLink(let name, let target):
            return try make(name, header) { (directory) throws(SystemError) in try makeLink(name, target, in: directory) }
        case .makeNode(let file, let device):
            return try make(file.name, header) { (directory) throws(SystemError) in try makeNode(file, device, in: directory) }
        case .makeDirectory(let file):
            return try make(file.name, header) { (directory) throws(SystemError) in try makeDirectory(file, in: directory) }
        case .unlink(let name): try remove(name, from: try writable(header.node), flags: 0)
        case .removeDirectory(let name): try remove(name, from: try writable(header.node), flags: AT_REMOVEDIR)
        case .rename(let name, let target, let newName, let flags):
            try rename(name, in: try writable(header.node), to: newName, in: try writable(target), flags)
        case .link(let existing, let name): return try link(try node(existing), name, header)
        case .open(let flags): return try open(try node(header.node), flags, header)
        case .create(let file, let flags): return try create(file, flags, header)
        case .createUnnamed(let file, let flags): return try createUnnamed(file, flags, header)
        case .openDirectory: return try openDirectory(header)
        case .readDirectory(let range, let withAttributes): return try read(range, withAttributes: withAttributes, header)
        case .releaseDirectory(let handle): directories[handle] = nil
        case .synchronizeDirectory(let handle): try synchronize(handle)
        case .fileSystemStatus: return Reply(Answer(to: header.unique, try fileSystem(of: header.node)))
        case .synchronizeFileSystem: try synchronizeFileSystem(of: try node(header.node))
        case .setExtendedAttribute(let name, let value, let flags): try set(name, value, flags, of: try writable(header.node))
        // Whoever goes through the directory of the trees as another user asks for its access list.
        case .getExtendedAttribute where header.node == NodeTable.top: throw SystemError(call: "getxattr", errno: ENODATA)
        case .getExtendedAttribute(let name, let limit): return try get(name, limit, of: try node(header.node), header)
        case .listExtendedAttributes(let limit): return try listAttributes(limit, of: try node(header.node), header)
        case .removeExtendedAttribute(let name): try removeAttribute(name, of: try writable(header.node))
        // The guest's kernel checks permissions by modes and access lists; not asked again after this answer.
        case .access: throw SystemError(call: "access", errno: ENOSYS)
        // The bytes of files are served by whoever got them open.
        case .read, .write, .release, .synchronize, .flush, .allocate, .seek, .copy: throw SystemError(call: "", errno: ENOSYS)
        }
        return Reply(Answer(to: header.unique))
    }

    private func welcome(_ greeting: Operation.Greeting, _ header: RequestHeader) throws(SystemError) -> Reply {
        guard greeting.major == Answer.protocolMajor, greeting.minor >= 31 else { throw SystemError(call: "init", errno: EPROTO) }
        forgetEverything()
        let flags = greeting.flags & Feature.all
        hasMountPoints = flags & Feature.mountPoints != 0
        return Reply(Answer(to: header.unique, Welcome(readAhead: greeting.readAhead, flags: flags, writeLimit: Self.writeLimit)))
    }

    /// As after a reset of the device.
    public func forgetEverything() {
        nodes.forgetAll()
        directories = [:]
    }

    // MARK: Nodes

    /// A file of the host that the guest knows.
    func node(_ number: UInt64) throws(SystemError) -> Node {
        guard let node = nodes[number] else { throw SystemError(call: "", errno: number == NodeTable.top ? EPERM : ESTALE) }
        return node
    }

    /// The same, in a tree that may be changed.
    func writable(_ number: UInt64) throws(SystemError) -> Node {
        let node = try node(number)
        if node.isReadOnly { throw SystemError(call: "", errno: EROFS) }
        return node
    }

    /// The name of an open file in proc(5): the kernel goes to the file itself, whatever became of its names.
    func path(_ node: Node) -> [UInt8] { path(node.descriptor.raw) }

    func path(_ descriptor: Int32) -> [UInt8] {
        var digits: [UInt8] = []
        var rest = descriptor
        repeat {
            digits.append(UInt8(ascii: "0") + UInt8(rest % 10))
            rest /= 10
        } while rest > 0
        return descriptors + digits.reversed()
    }

    var validity: Validity { Validity(entry: mode.validity, attributes: mode.validity) }

    /// Files that are made meanwhile belong to whoever asks for them.
    func acting<Result: ~Copyable>(for header: RequestHeader, _ body: () throws(SystemError) -> Result) throws(SystemError) -> Result {
        guard actsForOthers, header.user != 0 || header.group != 0 else { return try body() }
        try systemCall("setfsuid") { clinux_act_on_files_as(header.user, header.group) }
        defer {
            // Root's identity over files brings its capabilities with it; without it nothing more may be done.
            if clinux_act_on_files_as(0, 0) != 0 { _exit(125) }
        }
        return try body()
    }
}

extension Reply {
    init(_ answer: Answer, opening file: consuming OwnedDescriptor? = nil) {
        self.answer = answer
        self.file = file
    }

    init(_ header: RequestHeader, errno: Int32) { self.init(Answer(to: header.unique, errno: errno)) }
}
