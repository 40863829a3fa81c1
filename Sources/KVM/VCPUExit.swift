// Why KVM_RUN came back (api.rst, "The kvm_run structure").
import CLinux

public enum VCPUExit: Equatable, Sendable {
    /// A port or memory access by the guest; the bytes lie in the vCPU's run structure.
    public struct Access: Equatable, Sendable {
        public let address: UInt64
        /// 1 to 8 bytes; an access that crosses a page comes in two parts.
        public let size: Int
        /// Repetitions of a string instruction; 1 for memory.
        public let count: Int
        public let isWrite: Bool
        let dataOffset: Int
    }

    case port(Access)
    case memory(Access)
    case halt
    /// A triple fault.
    case shutDown
    /// Hardware-specific reason.
    case failEntry(reason: UInt64)
    /// `suberror` 1: KVM could not emulate an instruction.
    case internalError(suberror: UInt32, data: [UInt64])
    /// KVM_EXIT_SYSTEM_EVENT.
    case systemEvent(kind: UInt32)
    case interrupted
    case unknown(reason: UInt32)

    /// Where `kvm_run.mmio.data` lies: behind the 32-byte header and the physical address.
    static let memoryDataOffset = 32 + 8

    init(_ run: UnsafePointer<kvm_run>) {
        // SAFETY: KVM has filled the union member that belongs to the exit reason.
        switch unsafe run.pointee.exit_reason {
        case UInt32(KVM_EXIT_IO):
            let io = unsafe run.pointee.io
            self = .port(
                Access(
                    address: UInt64(io.port), size: Int(io.size), count: Int(io.count), isWrite: io.direction == UInt8(KVM_EXIT_IO_OUT),
                    dataOffset: Int(io.data_offset)))
        case UInt32(KVM_EXIT_MMIO):
            let mmio = unsafe run.pointee.mmio
            self = .memory(
                Access(
                    address: mmio.phys_addr, size: Int(min(mmio.len, 8)), count: 1, isWrite: mmio.is_write != 0,
                    dataOffset: VCPUExit.memoryDataOffset))
        case UInt32(KVM_EXIT_HLT): self = .halt
        case UInt32(KVM_EXIT_SHUTDOWN): self = .shutDown
        case UInt32(KVM_EXIT_FAIL_ENTRY): self = .failEntry(reason: unsafe run.pointee.fail_entry.hardware_entry_failure_reason)
        case UInt32(KVM_EXIT_INTERNAL_ERROR):
            let details = unsafe run.pointee.`internal`
            var words: [UInt64] = []
            // SAFETY: `data` is a fixed array of 16 words; ndata is bounded by it.
            unsafe withUnsafeBytes(of: details.data) { bytes in
                let data = unsafe bytes.bindMemory(to: UInt64.self)
                for index in 0..<min(Int(details.ndata), data.count) { unsafe words.append(data[index]) }
            }
            self = .internalError(suberror: details.suberror, data: words)
        case UInt32(KVM_EXIT_SYSTEM_EVENT): self = .systemEvent(kind: unsafe run.pointee.system_event.type)
        case UInt32(KVM_EXIT_INTR): self = .interrupted
        default: self = .unknown(reason: unsafe run.pointee.exit_reason)
        }
    }
}
