// /dev/kvm, opened by whoever may: what talks to it gets the descriptor.
import CLinux
import Glibc

/// Why the virtual machine interface can't be opened.
public enum KVMDeviceError: Error, Equatable, CustomStringConvertible {
    case missing
    case notPermitted
    case system(SystemError)

    public var description: String {
        switch self {
        case .missing:
            "this machine has no /dev/kvm: it needs a CPU with VT-x or AMD-V, switched on in its firmware, and the module kvm_intel or kvm_amd"
        case .notPermitted:
            "/dev/kvm may not be opened by this user: add the user to the group that owns it (usually 'kvm') or run as root"
        case .system(let error): "KVM: \(error)"
        }
    }
}

public enum KVMDevice {
    public static func open(path: String = "/dev/kvm") throws(KVMDeviceError) -> OwnedDescriptor {
        do throws(SystemError) { return try OwnedDescriptor.open(path, O_RDWR) } catch {
            switch error.errno {
            case ENOENT, ENODEV, ENXIO: throw .missing
            case EACCES, EPERM: throw .notPermitted
            default: throw .system(error)
            }
        }
    }
}
