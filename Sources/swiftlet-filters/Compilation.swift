// From rules to BPF, by libseccomp.
import CLinux
import CSeccomp
import Glibc
import Jail
import LinuxSystem

struct CompilationError: Error, CustomStringConvertible {
    let description: String
}

enum Compilation {
    /// The program for a thread that may do what `rules` say. All else traps: the thread gets a SIGSYS, whose handler reports.
    static func program(_ rules: [Rule]) throws -> [UInt8] {
        // SAFETY: libseccomp's context belongs to this function alone, and is released at its end.
        guard let context = unsafe seccomp_init(scmp_action_trap) else { throw CompilationError(description: "seccomp_init failed") }
        defer { unsafe seccomp_release(context) }
        // A system call of another architecture has other numbers: nobody makes one by accident.
        unsafe try check(seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, scmp_action_kill_process), "the action for other architectures")
        // A search instead of a list: the kernel runs a filter for every system call there is when it is installed.
        unsafe try check(seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2), "the search")
        for rule in rules {
            let number = try number(of: rule.call)
            let comparisons = rule.conditions.map(comparison)
            unsafe try check(
                comparisons.withUnsafeBufferPointer {
                    unsafe seccomp_rule_add_array(context, scmp_action_allow, number, UInt32($0.count), $0.baseAddress)
                }, rule.call)
        }
        return unsafe try exported(context)
    }

    /// The names of the system calls of this architecture from 0 on, each with a NUL; empty where a number has none.
    static func names(below count: Int32 = 512) -> [UInt8] {
        var names: [UInt8] = []
        for number in 0..<count {
            // SAFETY: the returned string is ours to free.
            if let name = unsafe seccomp_syscall_resolve_num_arch(UInt32(scmp_native_architecture), number) {
                names += unsafe Array(UnsafeRawBufferPointer(start: name, count: strlen(name)))
                unsafe free(name)
            }
            names.append(0)
        }
        return names
    }

    private static func number(of call: String) throws -> Int32 {
        // SAFETY: the string outlives the call.
        let number = unsafe seccomp_syscall_resolve_name(call)
        guard number >= 0 else { throw CompilationError(description: "there is no system call '\(call)'") }
        return number
    }

    private static func comparison(_ condition: Condition) -> scmp_arg_cmp {
        switch condition {
        case .argument(let number, let value): scmp_arg_cmp(arg: UInt32(number), op: SCMP_CMP_EQ, datum_a: value, datum_b: 0)
        case .bits(let number, let mask, let value): scmp_arg_cmp(arg: UInt32(number), op: SCMP_CMP_MASKED_EQ, datum_a: mask, datum_b: value)
        }
    }

    private static func exported(_ context: scmp_filter_ctx) throws -> [UInt8] {
        let memory = try OwnedDescriptor.memory(named: "filter")
        unsafe try check(seccomp_export_bpf(context, memory.raw), "seccomp_export_bpf")
        return try readAt(memory.raw, offset: 0, count: Int(try memory.status().size))
    }

    private static func check(_ code: Int32, _ what: String) throws {
        if code != 0 { throw CompilationError(description: "\(what): libseccomp fails with \(code)") }
    }
}
