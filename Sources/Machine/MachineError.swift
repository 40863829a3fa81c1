// What can be wrong with a kernel, an initrd or the room for them.

public enum MachineError: Error, Equatable, CustomStringConvertible {
    case notAKernel(String)
    case truncatedKernel
    case kernelTooLarge(needed: UInt64, memory: UInt64)
    case initrdTooLarge(size: UInt64, memory: UInt64)
    case truncatedInitrd
    case commandLineTooLong(Int)
    case tooManyCPUs(Int)
    case tooManyDevices(Int)

    public var description: String {
        switch self {
        case .notAKernel(let why): "the kernel is neither an x86-64 ELF vmlinux nor a bzImage with a 64-bit entry: \(why)"
        case .truncatedKernel: "the kernel file ends before its own headers say: it is truncated or damaged"
        case .kernelTooLarge(let needed, let memory):
            "the kernel needs guest memory up to \(needed >> 20) MiB and there are \(memory >> 20) MiB: give more with --memory"
        case .initrdTooLarge(let size, let memory):
            "an initrd of \(size >> 10) KiB doesn't fit beside the kernel in \(memory >> 20) MiB: give more with --memory"
        case .truncatedInitrd: "the initrd ended while it was read"
        case .commandLineTooLong(let count): "the kernel command line has \(count) bytes; at most \(Layout.commandLineLimit - 1) are possible"
        case .tooManyCPUs(let count): "\(count) CPUs were asked for; 1 to 64 are possible"
        case .tooManyDevices(let count): "\(count) virtio devices were asked for; at most \(Layout.virtioInterrupts.count) are possible"
        }
    }
}
