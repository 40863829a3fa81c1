// What a vCPU was doing when it could not go on: the instruction's bytes and the registers, for a report that somebody can act on.
import AddressSpace
import CLinux
import KVM

public struct FaultReport: Equatable, Sendable, CustomStringConvertible {
    public enum Kind: Equatable, Sendable {
        case tripleFault
        case internalError(suberror: UInt32, data: [UInt64])
        case failEntry(reason: UInt64)
        case unknownExit(reason: UInt32)
    }

    public let kind: Kind
    public let vcpu: UInt32
    /// Up to 16 bytes from RIP on; empty where the address isn't mapped.
    public let instruction: [UInt8]
    /// Name and value, in the order in which they are printed.
    public let registers: [Register]

    public struct Register: Equatable, Sendable {
        public let name: String
        public let value: UInt64
    }

    /// Reads the state of a vCPU that is not running.
    init(_ kind: Kind, of vcpu: VCPU, memory: GuestMemory) {
        self.kind = kind
        self.vcpu = vcpu.id
        guard let general = try? vcpu.registers(), let special = try? vcpu.specialRegisters() else {
            instruction = []
            registers = []
            return
        }
        // SVM leaves nothing of a processor that shut down: KVM has reset it by now, and what it is reset to explains nothing.
        if kind == .tripleFault, general.rip == 0xFFF0, special.efer == 0 {
            instruction = []
            registers = []
            return
        }
        registers = [
            Register(name: "rip", value: general.rip), Register(name: "rsp", value: general.rsp),
            Register(name: "rflags", value: general.rflags), Register(name: "rax", value: general.rax),
            Register(name: "rbx", value: general.rbx), Register(name: "rcx", value: general.rcx),
            Register(name: "rdx", value: general.rdx), Register(name: "rsi", value: general.rsi),
            Register(name: "rdi", value: general.rdi), Register(name: "rbp", value: general.rbp),
            Register(name: "cr0", value: special.cr0), Register(name: "cr2", value: special.cr2),
            Register(name: "cr3", value: special.cr3), Register(name: "cr4", value: special.cr4),
            Register(name: "efer", value: special.efer),
        ]
        if let physical = vcpu.physicalAddress(of: general.rip) {
            // An instruction has at most 15 bytes; one that crosses into an unmapped page is shown as far as its page goes.
            let count = min(16, 4096 - Int(physical & 4095))
            instruction = (try? memory.read(count, at: GuestAddress(physical))) ?? []
        } else {
            instruction = []
        }
    }

    public var description: String {
        let what =
            switch kind {
            case .tripleFault: "the guest's CPU \(vcpu) took a triple fault"
            case .internalError(1, _): "KVM could not execute an instruction of the guest's kernel (internal error 1 on CPU \(vcpu))"
            case .internalError(let suberror, _): "KVM gave up with internal error \(suberror) on CPU \(vcpu)"
            case .failEntry(let reason): "the processor refused to enter the guest (reason 0x\(hex(reason)), CPU \(vcpu))"
            case .unknownExit(let reason): "KVM stopped the guest for a reason that is not known here (\(reason), CPU \(vcpu))"
            }
        var text = what + "; 'swiftlet doctor' tells whether this machine can run microVMs"
        if registers.isEmpty { text += "\n  the processor kept none of its registers" }
        if !instruction.isEmpty { text += "\n  instruction bytes: " + instruction.map { hex(UInt64($0), width: 2) }.joined(separator: " ") }
        if case .internalError(_, let data) = kind, !data.isEmpty { text += "\n  data: " + data.map { "0x" + hex($0) }.joined(separator: " ") }
        for start in stride(from: 0, to: registers.count, by: 4) {
            let row = registers[start..<min(start + 4, registers.count)]
            text += "\n  " + row.map { "\($0.name)=0x\(hex($0.value))" }.joined(separator: " ")
        }
        return text
    }
}

private func hex(_ value: UInt64, width: Int = 1) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
}
