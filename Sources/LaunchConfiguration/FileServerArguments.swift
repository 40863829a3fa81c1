// The command line by which `swiftlet` starts `swiftlet-files`, the server of the host's files (docs/adr/0016).

/// `swiftlet-files --socket N --filters N --lifeline N --identity WORD --cache WORD TREE…`, N being descriptors that stay open across execve(2), and TREE one of them, with
/// ":ro" behind it where nothing may be changed.
public struct FileServerArguments: Equatable, Sendable {
    /// A directory or a file of the host.
    public struct Tree: Equatable, Sendable {
        public var descriptor: Int32
        public var isReadOnly: Bool

        public init(descriptor: Int32, isReadOnly: Bool) {
            self.descriptor = descriptor
            self.isReadOnly = isReadOnly
        }
    }

    /// One of a pair; the VMM has the other one.
    public var socket: Int32
    /// The compiled seccomp filters.
    public var filters: Int32
    /// One of a pair of sockets; the parent keeps the other one.
    public var lifeline: Int32
    /// Whom the server becomes: the name of an `Identity`.
    public var identity: String
    /// For how long the guest believes what it was told: the name of a `CacheMode`.
    public var cache: String
    /// At most `treeLimit`.
    public var trees: [Tree]

    public static let treeLimit = 256

    public init(socket: Int32, filters: Int32, lifeline: Int32, identity: String, cache: String, trees: [Tree]) {
        self.socket = socket
        self.filters = filters
        self.lifeline = lifeline
        self.identity = identity
        self.cache = cache
        self.trees = trees
    }

    public var words: [String] {
        ["--socket", "\(socket)", "--filters", "\(filters)", "--lifeline", "\(lifeline)", "--identity", identity, "--cache", cache]
            + trees.map { $0.isReadOnly ? "\($0.descriptor):ro" : "\($0.descriptor)" }
    }

    public var descriptors: [Int32] { [socket, filters, lifeline] + trees.map(\.descriptor) }

    /// Nil unless `words` are exactly as above, with descriptors that aren't the standard ones.
    public init?(_ words: [String]) {
        guard (11...10 + Self.treeLimit).contains(words.count) else { return nil }
        var numbers: [Int32] = []
        for (index, name) in ["--socket", "--filters", "--lifeline"].enumerated() {
            guard words[2 * index] == name, let number = Int32(words[2 * index + 1]), number > 2 else { return nil }
            numbers.append(number)
        }
        guard words[6] == "--identity", words[8] == "--cache" else { return nil }
        var trees: [Tree] = []
        for word in words[10...] {
            let isReadOnly = word.hasSuffix(":ro")
            guard let number = Int32(isReadOnly ? String(word.dropLast(3)) : word), number > 2 else { return nil }
            trees.append(Tree(descriptor: number, isReadOnly: isReadOnly))
        }
        self.init(socket: numbers[0], filters: numbers[1], lifeline: numbers[2], identity: words[7], cache: words[9], trees: trees)
    }
}
