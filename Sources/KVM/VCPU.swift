// One virtual CPU (api.rst, "vcpu ioctls" and "The kvm_run structure").
public import CLinux
import Glibc
import LinuxSystem

/// A virtual CPU. All but `requestExit` belongs to one thread at a time.
@safe public final class VCPU: @unchecked Sendable {
    // Sendable: the owner hands the VCPU to its thread once; `requestExit` writes one byte that KVM reads atomically.
    public let id: UInt32
    private let descriptor: OwnedDescriptor
    private let mapping: Mapping

    init(id: UInt32, descriptor: consuming OwnedDescriptor, runSize: Int) throws(KVMError) {
        self.id = id
        do throws(SystemError) {
            mapping = try Mapping(
                count: runSize, protection: PROT_READ | PROT_WRITE, flags: MAP_SHARED, descriptor: descriptor.raw)
        } catch { throw .system(error) }
        self.descriptor = descriptor
    }

    private var runState: UnsafeMutablePointer<kvm_run> {
        // SAFETY: KVM_GET_VCPU_MMAP_SIZE promises at least a kvm_run.
        unsafe mapping.base.assumingMemoryBound(to: kvm_run.self)
    }

    // MARK: State

    public func setCPUID(_ table: CPUID) throws(KVMError) {
        var buffer = CPUID.Buffer(table.entries)
        unsafe try buffer.fill { pointer throws(KVMError) in
            _ = unsafe try ioctl("KVM_SET_CPUID2", self.descriptor.raw, CLINUX_KVM_SET_CPUID2, pointer)
        }
    }

    /// The table as KVM_GET_MSRS / KVM_SET_MSRS take it: a count, then (index, value) pairs.
    public func setMSRs(_ values: [(index: UInt32, value: UInt64)]) throws(KVMError) {
        var words: [UInt64] = [UInt64(values.count)]
        for (index, value) in values {
            words.append(UInt64(index))
            words.append(value)
        }
        var failure: KVMError?
        var taken: Int32 = 0
        // SAFETY: kvm_msrs is a 32-bit count with padding and 16-byte entries, which is what the words hold.
        unsafe words.withUnsafeMutableBytes { buffer in
            guard let base = buffer.baseAddress else { return }
            do throws(KVMError) {
                taken = unsafe try ioctl("KVM_SET_MSRS", self.descriptor.raw, CLINUX_KVM_SET_MSRS, base)
            } catch { failure = error }
        }
        if let failure { throw failure }
        if Int(taken) != values.count {
            throw .refused("model-specific register 0x\(String(values[Int(taken)].index, radix: 16))")
        }
    }

    /// XCR0, the register states that XSAVE keeps (Intel SDM volume 1, §13.3).
    public func setExtendedControl(_ value: UInt64) throws(KVMError) {
        var registers = kvm_xcrs()
        registers.nr_xcrs = 1
        registers.xcrs.0 = kvm_xcr(xcr: 0, reserved: 0, value: value)
        try ioctl("KVM_SET_XCRS", descriptor.raw, CLINUX_KVM_SET_XCRS, value: &registers)
    }

    public func registers() throws(KVMError) -> kvm_regs {
        var registers = kvm_regs()
        try ioctl("KVM_GET_REGS", descriptor.raw, CLINUX_KVM_GET_REGS, value: &registers)
        return registers
    }

    public func setRegisters(_ registers: kvm_regs) throws(KVMError) {
        var registers = registers
        try ioctl("KVM_SET_REGS", descriptor.raw, CLINUX_KVM_SET_REGS, value: &registers)
    }

    public func specialRegisters() throws(KVMError) -> kvm_sregs {
        var registers = kvm_sregs()
        try ioctl("KVM_GET_SREGS", descriptor.raw, CLINUX_KVM_GET_SREGS, value: &registers)
        return registers
    }

    public func setSpecialRegisters(_ registers: kvm_sregs) throws(KVMError) {
        var registers = registers
        try ioctl("KVM_SET_SREGS", descriptor.raw, CLINUX_KVM_SET_SREGS, value: &registers)
    }

    /// KVM_TRANSLATE: the guest-physical address behind a virtual one; nil where it isn't mapped.
    public func physicalAddress(of linear: UInt64) -> UInt64? {
        var translation = kvm_translation()
        translation.linear_address = linear
        do throws(KVMError) {
            try ioctl("KVM_TRANSLATE", descriptor.raw, CLINUX_KVM_TRANSLATE, value: &translation)
        } catch { return nil }
        return translation.valid != 0 ? translation.physical_address : nil
    }

    // MARK: Running

    /// Runs the guest until it needs something. `body` answers reads through `VCPUExit`'s accessors before the next call.
    public func run() throws(KVMError) -> VCPUExit {
        let result = clinux_ioctl(descriptor.raw, CLINUX_KVM_RUN, 0)
        if result < 0 {
            let code = clinux_errno()
            // EINTR: a signal or `requestExit`; EAGAIN: a vCPU that has not been started yet was kicked.
            if code == EINTR || code == EAGAIN { return .interrupted }
            // SAFETY: exit_reason is a plain field of a live mapping.
            throw .system(SystemError(call: "ioctl KVM_RUN", subject: "vCPU \(id)", errno: code))
        }
        // SAFETY: KVM has filled the run structure for this exit reason.
        return unsafe VCPUExit(UnsafePointer(runState))
    }

    /// Lets KVM finish the access of the last exit without running the guest: needed before registers are set anew.
    public func completePendingAccess() throws(KVMError) {
        requestExit()
        _ = try run()
        // SAFETY: as for requestExit.
        unsafe withUnsafeMutablePointer(to: &runState.pointee.immediate_exit) { unsafe clinux_store_release8($0, 0) }
    }

    /// Copies the value that the guest reads into the run structure; the next `run` hands it over.
    public func answerRead(_ access: VCPUExit.Access, at index: Int, value: UInt64) {
        let offset = access.dataOffset + index * access.size
        guard offset >= 0, access.size <= 8, offset + access.size <= mapping.count else { return }
        var value = value.littleEndian
        // SAFETY: the range was checked to lie in the mapping.
        unsafe withUnsafeBytes(of: &value) { bytes in
            guard let source = bytes.baseAddress else { return }
            unsafe mapping.base.advanced(by: offset).copyMemory(from: source, byteCount: access.size)
        }
    }

    /// The value that the guest writes in repetition `index` of a string instruction (0 otherwise).
    public func writtenValue(_ access: VCPUExit.Access, at index: Int) -> UInt64 {
        let offset = access.dataOffset + index * access.size
        guard offset >= 0, access.size <= 8, offset + access.size <= mapping.count else { return 0 }
        var value: UInt64 = 0
        // SAFETY: the range was checked to lie in the mapping.
        unsafe withUnsafeMutableBytes(of: &value) { bytes in
            let source = unsafe UnsafeRawBufferPointer(start: mapping.base.advanced(by: offset), count: access.size)
            unsafe bytes.copyMemory(from: source)
        }
        return UInt64(littleEndian: value)
    }

    /// Makes the current or next `run` return `.interrupted`; the thread must be signalled too if it may be inside KVM_RUN.
    public func requestExit() {
        // SAFETY: immediate_exit is one byte that KVM reads on entry.
        unsafe withUnsafeMutablePointer(to: &runState.pointee.immediate_exit) { unsafe clinux_store_release8($0, 1) }
    }
}
