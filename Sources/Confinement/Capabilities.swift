// Capabilities by name (capabilities(7)), and the set that a container gets from `--cap-add` and `--cap-drop`, by Docker's rules.

/// A set of capabilities: bit n is capability n of <linux/capability.h>.
public struct CapabilitySet: OptionSet, Hashable, Sendable {
    public let rawValue: UInt64

    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// In the order of their numbers, without `CAP_`.
    public static let names = [
        "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE",
        "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE",
        "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE",
        "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
        "CHECKPOINT_RESTORE",
    ]

    public static let all = CapabilitySet(rawValue: (1 << UInt64(names.count)) - 1)

    /// What Docker gives a container that asks for nothing.
    public static let standard = CapabilitySet(known: [
        "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP", "NET_BIND_SERVICE",
        "SYS_CHROOT", "KILL", "AUDIT_WRITE",
    ])

    /// With or without `CAP_`, in any case; nil for a name that is none.
    public init?(name: String) {
        var name = name.uppercased()
        if name.hasPrefix("CAP_") { name.removeFirst(4) }
        guard let number = Self.names.firstIndex(of: name) else { return nil }
        self.init(rawValue: 1 << UInt64(number))
    }

    init(known names: [String]) {
        self = names.reduce(into: []) { set, name in set.formUnion(CapabilitySet(name: name) ?? []) }
    }

    /// Docker's standard set, changed. Of a capability that is both dropped and added the addition counts; with ALL added what is dropped is left out.
    public init(adding added: [String], dropping dropped: [String]) throws(ConfinementError) {
        let (add, addsAll) = try Self.understand(added)
        let (drop, dropsAll) = try Self.understand(dropped)
        if addsAll {
            self = Self.all.subtracting(drop)
        } else if dropsAll {
            self = add
        } else {
            self = Self.standard.subtracting(drop).union(add)
        }
    }

    private static func understand(_ names: [String]) throws(ConfinementError) -> (set: CapabilitySet, isAll: Bool) {
        var set: CapabilitySet = []
        var isAll = false
        for name in names {
            if name.uppercased() == "ALL" {
                isAll = true
            } else if let capability = CapabilitySet(name: name) {
                set.formUnion(capability)
            } else {
                throw .unknownCapability(name)
            }
        }
        return (set, isAll)
    }
}
