// /dev/kvm: what the host offers (Linux kernel documentation, virt/kvm/api.rst, "system ioctls").
import CLinux
import Glibc
public import LinuxSystem

/// Why the virtual machine interface can't be used.
public enum KVMError: Error, Equatable, CustomStringConvertible {
    case device(KVMDeviceError)
    case wrongVersion(String)
    case capabilityMissing(KVM.Capability)
    case system(SystemError)
    /// A register state or table that KVM took only in part.
    case refused(String)

    public var description: String {
        switch self {
        case .device(let error): "\(error)"
        case .wrongVersion(let version): "/dev/kvm speaks API version \(version), and 12 is needed"
        case .capabilityMissing(let capability): "this machine's KVM lacks \(capability), which needs a newer host kernel"
        case .system(let error): "KVM: \(error)"
        case .refused(let what): "KVM refused \(what)"
        }
    }
}

/// The system interface: one open /dev/kvm.
public struct KVM: ~Copyable, Sendable {
    /// Optional features of the host's KVM, numbered as KVM_CAP_*.
    public enum Capability: UInt, CaseIterable, Sendable {
        case irqchip = 0
        case userMemory = 3
        case extendedCPUID = 7
        case maximumVCPUs = 66
        case mpState = 14
        case irqfd = 32
        case ioeventfd = 36
        case setTSSAddress = 4
        case tscDeadlineTimer = 72
        case immediateExit = 136

        /// Without these nothing runs.
        public static let required: [Capability] = [
            .irqchip, .userMemory, .setTSSAddress, .extendedCPUID, .irqfd, .ioeventfd, .immediateExit,
        ]
    }

    let descriptor: OwnedDescriptor

    /// Opens `path` and checks the API's version.
    public init(path: String = "/dev/kvm") throws(KVMError) {
        try self.init(owning: try KVM.open(path))
    }

    private static func open(_ path: String) throws(KVMError) -> OwnedDescriptor {
        do throws(KVMDeviceError) { return try KVMDevice.open(path: path) } catch { throw .device(error) }
    }

    /// Takes over an open /dev/kvm and checks the API's version.
    public init(owning descriptor: consuming OwnedDescriptor) throws(KVMError) {
        let version = clinux_ioctl(descriptor.raw, CLINUX_KVM_GET_API_VERSION, 0)
        if version != 12 { throw .wrongVersion("\(version)") }
        self.descriptor = descriptor
    }

    /// The capability's value: 0 where it is missing, otherwise 1 or a number that it defines.
    public func value(of capability: Capability) -> Int32 {
        let result = clinux_ioctl(descriptor.raw, CLINUX_KVM_CHECK_EXTENSION, capability.rawValue)
        return max(0, result)
    }

    /// Throws for the first of `Capability.required` that is missing.
    public func requireCapabilities() throws(KVMError) {
        for capability in Capability.required where value(of: capability) == 0 {
            throw .capabilityMissing(capability)
        }
    }

    /// KVM_CREATE_VM.
    public func createVirtualMachine() throws(KVMError) -> VirtualMachine { try VirtualMachine(creatingBy: descriptor.raw) }

    /// KVM_CREATE_VM on a thread of its own, while the caller does something else. This value must outlive the creation.
    public func beginVirtualMachine() throws(KVMError) -> MachineCreation { try MachineCreation(by: descriptor.raw) }

    /// KVM_GET_SUPPORTED_CPUID: what the host's CPU and KVM can show to a guest.
    public func supportedCPUID() throws(KVMError) -> CPUID {
        var table = CPUID.Buffer(capacity: 256)
        unsafe try table.fill { pointer throws(KVMError) in
            _ = unsafe try ioctl("KVM_GET_SUPPORTED_CPUID", self.descriptor.raw, CLINUX_KVM_GET_SUPPORTED_CPUID, pointer)
        }
        return CPUID(entries: table.entries)
    }
}

/// ioctl with a number, EINTR retried, failures named.
@discardableResult
func ioctl(_ name: StaticString, _ descriptor: Int32, _ request: UInt, _ argument: UInt = 0) throws(KVMError) -> Int32 {
    do throws(SystemError) {
        return try systemCall("ioctl \(name)") { clinux_ioctl(descriptor, request, argument) }
    } catch { throw .system(error) }
}

/// ioctl with a pointer; the caller answers for what it points to.
@discardableResult
func ioctl(
    _ name: StaticString, _ descriptor: Int32, _ request: UInt, _ argument: UnsafeMutableRawPointer
) throws(KVMError) -> Int32 {
    do throws(SystemError) {
        // SAFETY: the caller passes storage of the size that the request's number encodes.
        return try systemCall("ioctl \(name)") { unsafe clinux_ioctl_pointer(descriptor, request, argument) }
    } catch { throw .system(error) }
}

/// ioctl on a value of the request's own type.
@discardableResult
func ioctl<Value: BitwiseCopyable>(
    _ name: StaticString, _ descriptor: Int32, _ request: UInt, value: inout Value
) throws(KVMError) -> Int32 {
    // SAFETY: the pointer is to a live value of exactly the request's type.
    unsafe try withUnsafeMutablePointer(to: &value) { pointer throws(KVMError) in
        unsafe try ioctl(name, descriptor, request, UnsafeMutableRawPointer(pointer))
    }
}
