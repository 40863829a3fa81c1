// The command line by which `swiftlet` starts `swiftlet-vmm`: what it needs before it is in its jail and may look at anything else.

/// `swiftlet-vmm --kvm N --filters N --lifeline N --identity WORD --network N|new`, N being descriptors that stay open across execve(2).
public struct LaunchArguments: Equatable, Sendable {
    /// /dev/kvm.
    public var kvm: Int32
    /// The compiled seccomp filters.
    public var filters: Int32
    /// One of a pair of sockets; the parent keeps the other one, and sends the descriptors of the LaunchConfiguration and of what that names.
    public var lifeline: Int32
    /// Whom the VMM becomes: the name of an `Identity`.
    public var identity: String
    /// The network namespace that it joins; nil: it makes one.
    public var network: Int32?

    public init(kvm: Int32, filters: Int32, lifeline: Int32, identity: String, network: Int32? = nil) {
        self.kvm = kvm
        self.filters = filters
        self.lifeline = lifeline
        self.identity = identity
        self.network = network
    }

    public var words: [String] {
        [
            "--kvm", "\(kvm)", "--filters", "\(filters)", "--lifeline", "\(lifeline)", "--identity", identity, "--network",
            network.map(String.init) ?? "new",
        ]
    }

    public var descriptors: [Int32] { [kvm, filters, lifeline] + (network.map { [$0] } ?? []) }

    /// Nil unless `words` are exactly as above, with descriptors that aren't the standard ones.
    public init?(_ words: [String]) {
        guard words.count == 10 else { return nil }
        var numbers: [Int32] = []
        for (index, name) in ["--kvm", "--filters", "--lifeline"].enumerated() {
            guard words[2 * index] == name, let number = Int32(words[2 * index + 1]), number > 2 else { return nil }
            numbers.append(number)
        }
        guard words[6] == "--identity", words[8] == "--network" else { return nil }
        let network = Int32(words[9])
        guard words[9] == "new" || (network ?? 0) > 2 else { return nil }
        self.init(kvm: numbers[0], filters: numbers[1], lifeline: numbers[2], identity: words[7], network: network)
    }
}
