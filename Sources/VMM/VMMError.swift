// Why a machine could not be built.
public import AddressSpace
public import KVM
public import LinuxSystem
public import Machine

public enum VMMError: Error, CustomStringConvertible {
    case kvm(KVMError)
    case machine(MachineError)
    case system(SystemError)
    case memory(GuestMemoryError)
    case bus(BusError)
    case unsuitableHost(String)
    case memorySize(UInt64)
    case memoryRefused(UInt64, KVMError)
    case descriptor(Int32, String)

    public var description: String {
        switch self {
        case .kvm(let error): "\(error)"
        case .machine(let error): "\(error)"
        case .system(let error): "\(error)"
        case .memory(let error): "the machine's tables don't fit: \(error)"
        case .bus(let error): "two devices claim the same addresses: \(error)"
        case .unsuitableHost(let why):
            "this machine's /dev/kvm does not really virtualise: \(why); use a host with VT-x or AMD-V ('swiftlet doctor' tells more)"
        case .memorySize(let size):
            "\(size) bytes of guest memory: it must be a multiple of 2 MiB, from 32 MiB to 1 TiB"
        case .memoryRefused(let size, let error):
            "this host can't give a machine \(size >> 20) MiB of memory (\(error)): use a smaller --memory"
        case .descriptor(let number, let what): "descriptor \(number) is not \(what): swiftlet-vmm is started by 'swiftlet run', not by hand"
        }
    }
}
