// The command line by which `swiftlet` starts `swiftlet-files`, the server of the host's files (docs/adr/0016).

/// What the VMM tells the server besides requests of FUSE, none of which is as short.
public enum FileServerNotice {
    /// The guest's memory has run out: the machine is to end as one that takes more than its cgroup has.
    public static let outOfMemory: [UInt8] = [1]
}

/// `swiftlet-files --socket N --filters N --lifeline N --identity WORD --cache WORD --memory-limits N,…|none TREE…`, N being descriptors that stay open across execve(2), and TREE one of them, with
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
    /// Files of the machine's cgroup, open for writing: no memory is left to it where 0 is written to each in their order.
    public var memoryLimits: [Int32]
    /// At most `treeLimit`.
    public var trees: [Tree]

    public static let treeLimit = 256

    public init(socket: Int32, filters: Int32, lifeline: Int32, identity: String, cache: String, memoryLimits: [Int32] = [], trees: [Tree]) {
        self.socket = socket
        self.filters = filters
        self.lifeline = lifeline
        self.identity = identity
        self.cache = cache
        self.memoryLimits = memoryLimits
        self.trees = trees
    }

    public var words: [String] {
        ["--socket", "\(socket)", "--filters", "\(filters)", "--lifeline", "\(lifeline)", "--identity", identity, "--cache", cache]
            + ["--memory-limits", memoryLimits.isEmpty ? "none" : memoryLimits.map(String.init).joined(separator: ",")]
            + trees.map { $0.isReadOnly ? "\($0.descriptor):ro" : "\($0.descriptor)" }
    }

    public var descriptors: [Int32] { [socket, filters, lifeline] + memoryLimits + trees.map(\.descriptor) }

    /// Nil unless `words` are exactly as above, with descriptors that aren't the standard ones.
    public init?(_ words: [String]) {
        guard (13...12 + Self.treeLimit).contains(words.count) else { return nil }
        var numbers: [Int32] = []
        for (index, name) in ["--socket", "--filters", "--lifeline"].enumerated() {
            guard words[2 * index] == name, let number = Int32(words[2 * index + 1]), number > 2 else { return nil }
            numbers.append(number)
        }
        guard words[6] == "--identity", words[8] == "--cache", words[10] == "--memory-limits" else { return nil }
        var limits: [Int32] = []
        for word in words[11] == "none" ? [] : words[11].split(separator: ",", omittingEmptySubsequences: false) {
            guard let number = Int32(word), number > 2, limits.count < 2 else { return nil }
            limits.append(number)
        }
        var trees: [Tree] = []
        for word in words[12...] {
            let isReadOnly = word.hasSuffix(":ro")
            guard let number = Int32(isReadOnly ? String(word.dropLast(3)) : word), number > 2 else { return nil }
            trees.append(Tree(descriptor: number, isReadOnly: isReadOnly))
        }
        self.init(
            socket: numbers[0], filters: numbers[1], lifeline: numbers[2], identity: words[7], cache: words[9], memoryLimits: limits, trees: trees)
    }
}
