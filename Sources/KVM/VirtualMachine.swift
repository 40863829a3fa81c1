// One virtual machine (api.rst, "VM ioctls").
import CLinux
import Glibc
public import LinuxSystem

public final class VirtualMachine: Sendable {
    private let descriptor: OwnedDescriptor
    private let runSize: Int

    /// `kvm` is a descriptor of /dev/kvm.
    init(creatingBy kvm: Int32) throws(KVMError) {
        runSize = Int(try ioctl("KVM_GET_VCPU_MMAP_SIZE", kvm, CLINUX_KVM_GET_VCPU_MMAP_SIZE))
        descriptor = OwnedDescriptor(owning: try ioctl("KVM_CREATE_VM", kvm, CLINUX_KVM_CREATE_VM))
    }

    /// KVM_SET_TSS_ADDR: three pages below 4 GiB that Intel CPUs need for real mode, outside RAM and devices.
    public func setTSSAddress(_ address: UInt64) throws(KVMError) {
        try ioctl("KVM_SET_TSS_ADDR", descriptor.raw, CLINUX_KVM_SET_TSS_ADDR, UInt(address))
    }

    /// KVM_CREATE_IRQCHIP: PICs, IOAPIC and a local APIC per vCPU, in the kernel.
    public func createInterruptController() throws(KVMError) {
        try ioctl("KVM_CREATE_IRQCHIP", descriptor.raw, CLINUX_KVM_CREATE_IRQCHIP)
    }

    /// KVM_SET_USER_MEMORY_REGION. The memory at `hostAddress` must stay mapped as long as the machine lives.
    public func setMemory(slot: UInt32, guestAddress: UInt64, size: UInt64, hostAddress: UInt64) throws(KVMError) {
        var region = kvm_userspace_memory_region(
            slot: slot, flags: 0, guest_phys_addr: guestAddress, memory_size: size, userspace_addr: hostAddress)
        try ioctl("KVM_SET_USER_MEMORY_REGION", descriptor.raw, CLINUX_KVM_SET_USER_MEMORY_REGION, value: &region)
    }

    /// KVM_IRQFD: each signal of `event` raises `line` of the interrupt controller once, as an edge.
    public func connectInterrupt(_ event: borrowing EventFD, line: UInt32) throws(KVMError) {
        var irqfd = kvm_irqfd()
        irqfd.fd = UInt32(event.raw)
        irqfd.gsi = line
        try ioctl("KVM_IRQFD", descriptor.raw, CLINUX_KVM_IRQFD, value: &irqfd)
    }

    /// KVM_IOEVENTFD: a 4-byte write of `value` to `address` signals the event instead of ending KVM_RUN.
    public func connectNotification(_ event: Int32, address: UInt64, value: UInt32) throws(KVMError) {
        var ioeventfd = kvm_ioeventfd()
        ioeventfd.datamatch = UInt64(value)
        ioeventfd.addr = address
        ioeventfd.len = 4
        ioeventfd.fd = event
        ioeventfd.flags = 1  // KVM_IOEVENTFD_FLAG_DATAMATCH
        try ioctl("KVM_IOEVENTFD", descriptor.raw, CLINUX_KVM_IOEVENTFD, value: &ioeventfd)
    }

    /// KVM_CREATE_VCPU.
    public func createVCPU(id: UInt32) throws(KVMError) -> VCPU {
        let raw = try ioctl("KVM_CREATE_VCPU", descriptor.raw, CLINUX_KVM_CREATE_VCPU, UInt(id))
        return try VCPU(id: id, descriptor: OwnedDescriptor(owning: raw), runSize: runSize)
    }
}
