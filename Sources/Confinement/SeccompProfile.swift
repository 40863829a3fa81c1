// A seccomp profile as the OCI runtime specification has it (config-linux.md, "Seccomp"), with the conditions that Docker adds to its rules.

/// What happens to a system call (seccomp(2)).
public enum SeccompAction: Equatable, Hashable, Sendable {
    case allow
    case error(UInt16)
    case killProcess
    case killThread
    case trap
    case log
    case trace(UInt16)
}

/// A comparison of one argument, 64 bits wide, with a constant.
public struct SeccompArgument: Equatable, Hashable, Sendable {
    public enum Comparison: Equatable, Hashable, Sendable {
        case notEqual, less, lessOrEqual, equal, greaterOrEqual, greater
        /// The argument's bits under the mask equal the value.
        case masked(UInt64)
    }

    /// 0 to 5.
    public let index: UInt32
    public let comparison: Comparison
    public let value: UInt64

    public init(index: UInt32, _ comparison: Comparison, _ value: UInt64) {
        self.index = index
        self.comparison = comparison
        self.value = value
    }
}

/// An action for some system calls; all arguments must match.
public struct SeccompRule: Equatable, Sendable {
    public var names: [String]
    public var action: SeccompAction
    public var arguments: [SeccompArgument]
    /// The rule counts only for a container that has all of these.
    public var includes: CapabilitySet
    /// The rule doesn't count for a container that has any of these.
    public var excludes: CapabilitySet

    public init(
        _ names: [String], _ action: SeccompAction, arguments: [SeccompArgument] = [], includes: CapabilitySet = [], excludes: CapabilitySet = []
    ) {
        self.names = names
        self.action = action
        self.arguments = arguments
        self.includes = includes
        self.excludes = excludes
    }
}

public struct SeccompProfile: Equatable, Sendable {
    /// For what no rule names.
    public var defaultAction: SeccompAction
    public var rules: [SeccompRule]
    /// 32-bit programs are under the same rules; without this they are killed.
    public var coversX86 = true

    public init(defaultAction: SeccompAction, rules: [SeccompRule]) {
        self.defaultAction = defaultAction
        self.rules = rules
    }

    /// Whose presence or absence changes anything.
    public var decisiveCapabilities: CapabilitySet {
        rules.reduce(into: []) { set, rule in set.formUnion(rule.includes.union(rule.excludes)) }
    }

    /// The rules that count for a container with these capabilities.
    public func rules(for capabilities: CapabilitySet) -> [SeccompRule] {
        rules.filter { $0.includes.isSubset(of: capabilities) && $0.excludes.isDisjoint(with: capabilities) }
    }

    /// Whether the system call can succeed, with some arguments.
    func permits(_ name: String, for capabilities: CapabilitySet) -> Bool {
        let own = rules(for: capabilities).filter { $0.names.contains(name) }
        if own.contains(where: { $0.action.permits }) { return true }
        return defaultAction.permits && !own.contains { $0.arguments.isEmpty }
    }
}

extension SeccompAction {
    fileprivate var permits: Bool {
        switch self {
        case .allow, .log, .trace: true
        case .error, .killProcess, .killThread, .trap: false
        }
    }
}
