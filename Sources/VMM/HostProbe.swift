// Does this host really execute kernel-mode code, and how fast? A few thousand instructions answer, on the very vCPU that is about to boot.
//
// Some hosts open /dev/kvm and create machines, but interpret the guest's kernel-mode code a thousand times too slowly and fail on instructions
// that every kernel uses. There a kernel would hang for minutes; the probe says so in milliseconds.
public import AddressSpace
import CLinux
import Glibc
public import KVM
import LinuxSystem
import Machine
import Synchronization

public enum HostProbe {
    public enum Outcome: Equatable, Sendable {
        case good(nanoseconds: UInt64)
        /// The instructions ran, but like an interpreter's.
        case slow(nanoseconds: UInt64)
        case failed(String)
    }

    private static let iterations: UInt64 = 2048
    /// In nanoseconds. A CPU takes microseconds for the probe, an emulated one (a machine under TCG) a third of a millisecond, an interpreter at least 3.
    private static let limit: UInt64 = 2_500_000
    /// A busy or emulated host is slow in user mode too; an interpreter of kernel mode is a thousand times slower than that.
    private static let slowdownLimit: UInt64 = 100
    /// Short and many: on a busy host most are interrupted, but not all.
    private static let attempts = 16
    private static let resultPort: UInt64 = 0x80

    /// popcnt; lock cmpxchg16b on [rdi]; a loop that counts in memory at [rdi+16]; then a port write. It never comes to the end, which is for emulated processors:
    /// they translate blocks as a whole, and without it hundreds of instructions of whatever follows, for 2 ms.
    private static let program: [UInt8] = [
        0xF3, 0x48, 0x0F, 0xB8, 0xC0,  // popcnt rax, rax
        0xF0, 0x48, 0x0F, 0xC7, 0x0F,  // lock cmpxchg16b [rdi]
        0xB9, 0x00, 0x08, 0x00, 0x00,  // mov ecx, 2048
        0x48, 0xFF, 0x47, 0x10,  // inc qword [rdi+16]
        0xFF, 0xC9,  // dec ecx
        0x75, 0xF8,  // jnz -8
        0xE6, 0x80,  // out 0x80, al
        0xF4,  // hlt
    ]
    /// On a page of its own: a store beside the code that runs is slow on every processor. An emulated one looks each time for translations to drop: 0.8 ms in all.
    private static let dataOffset: UInt64 = 0x1000

    /// Runs the probe on a vCPU whose tables (`BootState.writeTables`) are in place. The caller sets the vCPU's registers anew afterwards.
    ///
    /// A busy host may be interrupted; only a probe that is slow every time tells of an interpreter.
    public static func run(on vcpu: VCPU, memory: GuestMemory) throws -> Outcome {
        var best = UInt64.max
        for _ in 0..<attempts {
            switch try runOnce(on: vcpu, memory: memory) {
            case .good(let time): return .good(nanoseconds: time)
            case .slow(let time): best = min(best, time)
            case .failed(let why): return .failed(why)
            }
        }
        return best / slowdownLimit > userModeTime() ? .slow(nanoseconds: best) : .good(nanoseconds: best)
    }

    /// What the probe's loop takes outside of the machine, in nanoseconds.
    private static func userModeTime() -> UInt64 {
        let counter = Atomic<UInt64>(0)
        let start = monotonicNanoseconds()
        for _ in 0..<iterations { counter.wrappingAdd(1, ordering: .relaxed) }
        return monotonicNanoseconds() - start
    }

    private static func runOnce(on vcpu: VCPU, memory: GuestMemory) throws -> Outcome {
        let data = GuestAddress(Layout.probe.value + dataOffset)
        try memory.write(program, at: Layout.probe)
        try memory.write([UInt8](repeating: 0, count: 32), at: data)
        try BootState.apply(to: vcpu, entry: Layout.probe)
        var registers = try vcpu.registers()
        registers.rdi = data.value
        try vcpu.setRegisters(registers)

        let start = monotonicNanoseconds()
        let exit = try vcpu.run()
        let time = monotonicNanoseconds() - start

        guard case .port(let access) = exit, access.address == resultPort else { return .failed(explain(exit, vcpu, memory)) }
        try vcpu.completePendingAccess()
        let counted: UInt64 = try memory.load(at: GuestAddress(data.value + 16))
        guard counted == iterations else { return .failed("the probe counted to \(counted) instead of \(iterations)") }
        return time <= limit ? .good(nanoseconds: time) : .slow(nanoseconds: time)
    }

    private static func explain(_ exit: VCPUExit, _ vcpu: VCPU, _ memory: GuestMemory) -> String {
        let kind: FaultReport.Kind? =
            switch exit {
            case .internalError(let suberror, let data): .internalError(suberror: suberror, data: data)
            case .shutDown: .tripleFault
            case .failEntry(let reason): .failEntry(reason: reason)
            default: nil
            }
        guard let kind else { return "the probe ended with \(exit)" }
        let report = FaultReport(kind, of: vcpu, memory: memory)
        let bytes = report.instruction.prefix(8).map { String($0, radix: 16) }.joined(separator: " ")
        switch kind {
        case .tripleFault: return "the probe's CPU took a triple fault at instruction bytes \(bytes)"
        case .internalError(let suberror, _): return "KVM could not execute the instruction bytes \(bytes) (internal error \(suberror))"
        default: return "the processor refused to enter the probe"
        }
    }
}
