// From a profile to BPF, by libseccomp. Each architecture is compiled in a filter of its own, then they are merged: libseccomp takes a system call that it
// doesn't know by its number only where that number needs no translation.
import CSeccomp
import Glibc
import LinuxSystem

public enum SeccompCompiler {
    /// AUDIT_ARCH_X86_64 and AUDIT_ARCH_I386 of <linux/audit.h>, as libseccomp names architectures too.
    private static let x8664: UInt32 = 0xC000_003E
    private static let i386: UInt32 = 0x4000_0003

    /// System calls of x86-64 that are younger than Debian 12's libseccomp.
    private static let younger: [String: Int32] = [
        "uretprobe": 335, "cachestat": 451, "fchmodat2": 452, "map_shadow_stack": 453, "futex_wake": 454, "futex_wait": 455, "futex_requeue": 456,
        "statmount": 457, "listmount": 458, "lsm_get_self_attr": 459, "lsm_set_self_attr": 460, "lsm_list_modules": 461, "mseal": 462,
    ]
    /// The last system calls that were known when the default profile was written. Programs fall back from what a kernel doesn't have, not from what
    /// it refuses: what comes later is ENOSYS. x32's numbers, which the guest's kernel doesn't have either, lie above.
    private static let lastKnown: (x8664: UInt32, i386: UInt32) = (462, 462)

    /// The filter for a container with these capabilities.
    public static func compile(_ profile: SeccompProfile, for capabilities: CapabilitySet) throws(ConfinementError) -> SeccompProgram {
        guard profile.permits("execve", for: capabilities) else { throw .startsNothing }
        let rules = profile.rules(for: capabilities).filter { $0.action != profile.defaultAction }
        let whole = try SeccompProgram(bytes: answersToTheUnknown() + translate(rules, profile))
        return try shorten(whole, rules, profile) ?? whole
    }

    /// libseccomp's program for these rules.
    private static func translate(_ rules: [SeccompRule], _ profile: SeccompProfile) throws(ConfinementError) -> [UInt8] {
        let filter = try Filter.make(profile.defaultAction, architecture: x8664)
        for rule in rules {
            for name in rule.names {
                guard let number = number(of: name) else { continue }
                try filter.add(rule, name, number: number)
            }
        }
        if profile.coversX86 {
            let other = try Filter.make(profile.defaultAction, architecture: i386)
            for rule in rules {
                for name in rule.names {
                    // What this architecture lacks has a number that means nothing; libseccomp skips it.
                    // SAFETY: reads a C string during the call.
                    let number = unsafe seccomp_syscall_resolve_name(name)
                    if number != unknown { try other.add(rule, name, number: number) }
                }
            }
            try filter.merge(other)
        }
        return try filter.export()
    }

    /// The same with a search among ranges; nil where that is no gain, or would answer anything differently.
    private static func shorten(
        _ whole: SeccompProgram, _ rules: [SeccompRule], _ profile: SeccompProfile
    ) throws(ConfinementError) -> SeccompProgram? {
        let architectures = profile.coversX86 ? [x8664, i386] : [x8664]
        let last = max(lastKnown.x8664, lastKnown.i386) + 1
        guard let dispatch = RangeDispatch(whole, architectures: architectures, last: last) else { return nil }
        let open = dispatch.openNumbers(x8664, upTo: last)
        let openToo = dispatch.openNumbers(i386, upTo: last)
        let conditional = Set(rules.filter { !$0.arguments.isEmpty }.flatMap(\.names))
        var few: [SeccompRule] = []
        for var rule in rules {
            rule.names = rule.names.filter { name in
                if conditional.contains(name) { return true }
                if let number = number(of: name), open.contains(UInt32(number)) { return true }
                // SAFETY: reads a C string during the call.
                return openToo.contains(UInt32(bitPattern: unsafe seccomp_syscall_resolve_name_arch(i386, name)))
            }
            if !rule.names.isEmpty { few.append(rule) }
        }
        guard let short = dispatch.program(before: try SeccompProgram(bytes: translate(few, profile))) else { return nil }
        return short.instructions < whole.instructions && agree(short, whole, rules, last: last) ? short : nil
    }

    /// Whether both give the same answers: to every number, with arguments around all constants that a rule compares with.
    private static func agree(_ one: SeccompProgram, _ other: SeccompProgram, _ rules: [SeccompRule], last: UInt32) -> Bool {
        var samples: Set<[UInt64]> = [[], Array(repeating: .max, count: 6)]
        for argument in rules.flatMap(\.arguments) {
            var values = [argument.value, argument.value &- 1, argument.value &+ 1, argument.value | 1 << 32]
            if case .masked(let mask) = argument.comparison { values += (0..<64).map { mask & (1 << $0) ^ argument.value } }
            for value in values {
                var arguments = [UInt64](repeating: 0, count: 6)
                arguments[Int(argument.index)] = value
                samples.insert(arguments)
            }
        }
        // Profiles that compare with thousands of constants are not worth the time.
        guard samples.count <= 1000 else { return false }
        for architecture in [x8664, i386, 0] {
            for number in Array(0...last) + [1 << 30, 1 << 30 + 1, 1 << 31, .max] {
                var call = SystemCall(architecture: architecture, number: number)
                if let answer = other.answer(to: call) {
                    guard one.answer(to: call) == answer else { return false }
                    continue
                }
                for arguments in samples {
                    call.arguments = arguments
                    guard let answer = one.answer(to: call), answer == other.answer(to: call) else { return false }
                }
            }
        }
        return true
    }

    /// In front of libseccomp's program: what nobody could have known when the profile was written.
    private static func answersToTheUnknown() -> [UInt8] {
        typealias Operation = SeccompProgram.Operation
        let noSuchCall: UInt32 = 0x0005_0000 | 38
        let program: [(operation: UInt16, whenTrue: UInt8, whenFalse: UInt8, constant: UInt32)] = [
            (Operation.load, 0, 0, 4),
            (Operation.jumpIfEqual, 1, 0, i386),
            (Operation.jumpIfEqual, 2, 5, x8664),
            (Operation.load, 0, 0, 0),
            (Operation.jumpIfGreater, 2, 3, lastKnown.i386),
            (Operation.load, 0, 0, 0),
            (Operation.jumpIfGreater, 0, 1, lastKnown.x8664),
            (Operation.answer, 0, 0, noSuchCall),
        ]
        return program.flatMap { SeccompProgram.instruction($0.operation, $0.whenTrue, $0.whenFalse, $0.constant) }
    }

    /// __NR_SCMP_ERROR.
    private static let unknown: Int32 = -1

    private static func number(of name: String) -> Int32? {
        // SAFETY: reads a C string during the call.
        let number = unsafe seccomp_syscall_resolve_name_arch(x8664, name)
        if number >= 0 { return number }
        // Other negative numbers are system calls of other architectures.
        return number == unknown ? younger[name] : nil
    }
}

/// libseccomp's filter. Its functions answer with negated error numbers.
@safe private struct Filter: ~Copyable {
    private let context: scmp_filter_ctx

    /// SAFETY: the context is alive; it is freed in deinit, or by the merge that consumes it.
    private init(owning context: scmp_filter_ctx) { unsafe self.context = context }

    static func make(_ defaultAction: SeccompAction, architecture: UInt32) throws(ConfinementError) -> Filter {
        guard let context = unsafe seccomp_init(defaultAction.code) else { throw .compiler(step: "seccomp_init", errno: ENOMEM) }
        let filter = unsafe Filter(owning: context)
        let native = seccomp_arch_native()
        // SAFETY: plain calls with a context that is alive.
        if architecture != native {
            try check("seccomp_arch_add", unsafe seccomp_arch_add(context, architecture))
            try check("seccomp_arch_remove", unsafe seccomp_arch_remove(context, native))
        }
        // A binary search instead of one comparison after another: the kernel runs the filter once for each system call when it is installed.
        try check("seccomp_attr_set", unsafe seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2))
        return filter
    }

    deinit { unsafe seccomp_release(context) }

    func add(_ rule: SeccompRule, _ name: String, number: Int32) throws(ConfinementError) {
        // Comparisons of the same argument are alternatives, as in runc: a rule for each.
        let repeats = Set(rule.arguments.map(\.index)).count < rule.arguments.count
        for arguments in repeats ? rule.arguments.map({ [$0] }) : [rule.arguments] {
            let comparisons = arguments.map(\.comparisonForLibrary)
            // SAFETY: reads exactly the array's elements during the call.
            let result = unsafe comparisons.withUnsafeBufferPointer { buffer in
                unsafe seccomp_rule_add_array(context, rule.action.code, number, UInt32(buffer.count), buffer.baseAddress)
            }
            // Said twice, or beaten by a rule without conditions.
            if result == -EEXIST { continue }
            try Self.check("the rule for \(name)", result)
        }
    }

    func merge(_ other: consuming Filter) throws(ConfinementError) {
        // SAFETY: on success libseccomp owns the other context.
        try Self.check("seccomp_merge", unsafe seccomp_merge(context, other.context))
        other.forget()
    }

    private consuming func forget() { discard self }

    /// The BPF program's bytes.
    func export() throws(ConfinementError) -> [UInt8] {
        do throws(SystemError) {
            let file = try OwnedDescriptor.memory(named: "seccomp")
            // SAFETY: plain call.
            let result = unsafe seccomp_export_bpf(context, file.raw)
            if result < 0 { throw SystemError(call: "seccomp_export_bpf", errno: -result) }
            let size = Int(try file.status().size)
            return try readAt(file.raw, offset: 0, count: size)
        } catch { throw .compiler(step: "seccomp_export_bpf", errno: error.errno) }
    }

    private static func check(_ step: String, _ result: Int32) throws(ConfinementError) {
        if result < 0 { throw .compiler(step: step, errno: -result) }
    }
}

extension SeccompAction {
    /// SCMP_ACT_ and SECCOMP_RET_ values.
    var code: UInt32 {
        switch self {
        case .allow: 0x7FFF_0000
        case .error(let number): 0x0005_0000 | UInt32(number)
        case .killProcess: 0x8000_0000
        case .killThread: 0x0000_0000
        case .trap: 0x0003_0000
        case .log: 0x7FFC_0000
        case .trace(let message): 0x7FF0_0000 | UInt32(message)
        }
    }
}

extension SeccompArgument {
    fileprivate var comparisonForLibrary: scmp_arg_cmp {
        switch comparison {
        case .notEqual: scmp_arg_cmp(arg: index, op: SCMP_CMP_NE, datum_a: value, datum_b: 0)
        case .less: scmp_arg_cmp(arg: index, op: SCMP_CMP_LT, datum_a: value, datum_b: 0)
        case .lessOrEqual: scmp_arg_cmp(arg: index, op: SCMP_CMP_LE, datum_a: value, datum_b: 0)
        case .equal: scmp_arg_cmp(arg: index, op: SCMP_CMP_EQ, datum_a: value, datum_b: 0)
        case .greaterOrEqual: scmp_arg_cmp(arg: index, op: SCMP_CMP_GE, datum_a: value, datum_b: 0)
        case .greater: scmp_arg_cmp(arg: index, op: SCMP_CMP_GT, datum_a: value, datum_b: 0)
        case .masked(let mask): scmp_arg_cmp(arg: index, op: SCMP_CMP_MASKED_EQ, datum_a: mask, datum_b: value)
        }
    }
}
