// Which devices a container may make and open: an eBPF program of the type BPF_PROG_TYPE_CGROUP_DEVICE (Linux: Documentation/admin-guide/cgroup-v2.rst, "Device
// controller"), made here and only loaded by the agent. The order of the runtime specification's `linux.resources.devices` is kept: the last rule that matches decides.

/// A rule as in `linux.resources.devices`.
public struct DeviceRule: Equatable, Sendable {
    public enum Kind: Equatable, Sendable { case any, block, character }

    public struct Access: OptionSet, Hashable, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        /// BPF_DEVCG_ACC_MKNOD, READ and WRITE of <linux/bpf.h>.
        public static let make = Access(rawValue: 1)
        public static let read = Access(rawValue: 2)
        public static let write = Access(rawValue: 4)
        public static let all: Access = [.make, .read, .write]
    }

    public var allow: Bool
    public var kind: Kind
    /// Nil: any.
    public var major: UInt32?
    public var minor: UInt32?
    public var access: Access

    public init(allow: Bool, _ kind: Kind, major: UInt32? = nil, minor: UInt32? = nil, _ access: Access) {
        self.allow = allow
        self.kind = kind
        self.major = major
        self.minor = minor
        self.access = access
    }

    /// Docker's: anything may be made, which gives nobody access, and only what is harmless may be opened.
    public static let standard: [DeviceRule] =
        [
            DeviceRule(allow: false, .any, .all), DeviceRule(allow: true, .character, .make), DeviceRule(allow: true, .block, .make),
        ]
        // null, zero, full, random, urandom; tty, console, ptmx; pseudo-terminals.
        + [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2), (136, nil)].map { (major: UInt32, minor: UInt32?) in
            DeviceRule(allow: true, .character, major: major, minor: minor, .all)
        }
}

public enum DeviceProgram {
    /// struct bpf_insn.
    private struct Instruction {
        var operation: UInt8
        var target: UInt8 = 0
        var source: UInt8 = 0
        var offset: Int16 = 0
        var constant: Int32 = 0

        var bytes: [UInt8] {
            let offset = UInt16(bitPattern: offset)
            let constant = UInt32(bitPattern: constant)
            return [operation, source << 4 | target, UInt8(truncatingIfNeeded: offset), UInt8(offset >> 8)]
                + (0..<4).map { UInt8(truncatingIfNeeded: constant >> (8 * $0)) }
        }
    }

    private static let loadWord: UInt8 = 0x61, moveConstant: UInt8 = 0xB7, moveRegister: UInt8 = 0xBF, andConstant: UInt8 = 0x57
    private static let shiftRight: UInt8 = 0x77, shiftRightByRegister: UInt8 = 0x7F
    private static let jumpUnlessEqual: UInt8 = 0x55, jumpIfGreater: UInt8 = 0x25, exit: UInt8 = 0x95
    /// Registers: 0 the answer, 1 the context, then what is kept of it.
    private static let answer: UInt8 = 0, context: UInt8 = 1, kind: UInt8 = 2, access: UInt8 = 3, major: UInt8 = 4, minor: UInt8 = 5
    private static let scratch: UInt8 = 6

    /// The bytes of the program for `rules`; what none of them matches is refused.
    public static func compile(_ rules: [DeviceRule]) -> [UInt8] {
        // struct bpf_cgroup_dev_ctx: access_type (the access above the kind's 16 bits), major, minor.
        var program = [
            Instruction(operation: loadWord, target: access, source: context, offset: 0),
            Instruction(operation: moveRegister, target: kind, source: access),
            Instruction(operation: andConstant, target: kind, constant: 0xFFFF),
            Instruction(operation: shiftRight, target: access, constant: 16),
            Instruction(operation: loadWord, target: major, source: context, offset: 4),
            Instruction(operation: loadWord, target: minor, source: context, offset: 8),
        ]
        // The first match ends the program, so the last rule comes first; what follows a rule that matches everything can't be reached, which the kernel refuses.
        for (rule, minors) in joined(rules.reversed()) {
            program += block(rule, minors)
            if minors == 0, rule.kind == .any, rule.major == nil, rule.minor == nil, rule.access == .all { return program.flatMap(\.bytes) }
        }
        return (program + block(DeviceRule(allow: false, .any, .all))).flatMap(\.bytes)
    }

    /// Neighbours that differ in their minor numbers alone become one with a set of these, a bit each: the kernel follows every branch of a program when it is loaded (10 to 20
    /// microseconds each in the lab).
    private static func joined(_ rules: [DeviceRule]) -> [(rule: DeviceRule, minors: UInt32)] {
        var joined: [(rule: DeviceRule, minors: UInt32)] = []
        for rule in rules {
            guard let minor = rule.minor, minor < setSize else {
                joined.append((rule, 0))
                continue
            }
            var common = rule
            common.minor = nil
            if let last = joined.last, last.minors != 0, last.rule == common {
                joined[joined.count - 1].minors |= 1 << minor
            } else {
                joined.append((common, 1 << minor))
            }
        }
        return joined
    }

    /// Constants are signed, and their sign would be more bits.
    private static let setSize: UInt32 = 31

    /// The rule's conditions, each of which leads past its end, and its answer. `minors`: a set of minor numbers instead of the rule's; 0 where there is none.
    private static func block(_ rule: DeviceRule, _ minors: UInt32 = 0) -> [Instruction] {
        var conditions: [Instruction] = []
        switch rule.kind {
        case .any: break
        // BPF_DEVCG_DEV_BLOCK and BPF_DEVCG_DEV_CHAR.
        case .block: conditions.append(Instruction(operation: jumpUnlessEqual, target: kind, constant: 1))
        case .character: conditions.append(Instruction(operation: jumpUnlessEqual, target: kind, constant: 2))
        }
        if let number = rule.major {
            conditions.append(Instruction(operation: jumpUnlessEqual, target: major, constant: Int32(bitPattern: number)))
        }
        if let number = rule.minor {
            conditions.append(Instruction(operation: jumpUnlessEqual, target: minor, constant: Int32(bitPattern: number)))
        }
        if minors != 0 {
            conditions.append(Instruction(operation: jumpIfGreater, target: minor, constant: Int32(setSize - 1)))
            conditions.append(Instruction(operation: moveConstant, target: scratch, constant: Int32(minors)))
            conditions.append(Instruction(operation: shiftRightByRegister, target: scratch, source: minor))
            conditions.append(Instruction(operation: andConstant, target: scratch, constant: 1))
            conditions.append(Instruction(operation: jumpUnlessEqual, target: scratch, constant: 1))
        }
        if rule.access != .all {
            // Nothing may be asked for that the rule doesn't name.
            conditions.append(Instruction(operation: moveRegister, target: scratch, source: access))
            let others = DeviceRule.Access.all.subtracting(rule.access)
            conditions.append(Instruction(operation: andConstant, target: scratch, constant: Int32(others.rawValue)))
            conditions.append(Instruction(operation: jumpUnlessEqual, target: scratch, constant: 0))
        }
        let end = conditions.count + 2
        for index in conditions.indices where [jumpUnlessEqual, jumpIfGreater].contains(conditions[index].operation) {
            conditions[index].offset = Int16(end - index - 1)
        }
        return conditions + [
            Instruction(operation: moveConstant, target: answer, constant: rule.allow ? 1 : 0), Instruction(operation: exit),
        ]
    }
}
