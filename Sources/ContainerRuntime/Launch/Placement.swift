// The cgroup that a VMM is born into, and what it may use there (docs/adr/0013).
import Glibc
import Jail

struct Placement: Equatable, Sendable {
    /// Below the root of the hierarchy, as with Docker.
    static let defaultParent = "/swiftlet"
    /// Beside guest RAM: page tables (a 512th of it for KVM's, as much for the host's), the machine's state in KVM, the VMM itself, and room for the pages of
    /// image files that it reads, which the kernel takes back when they are in the way. In bytes.
    static let memoryOverhead: UInt64 = 64 << 20
    static let memoryOverheadShare: UInt64 = 64
    /// Beside vCPUs: the event loop, streams, disks, and KVM's worker.
    static let otherThreads: UInt64 = 16
    /// In microseconds: what quotas are counted in.
    static let period: UInt64 = 100_000

    let parent: String
    let limits: CgroupLimits

    /// `processorTime` in microseconds per period; nil: a processor for each vCPU and one for devices.
    init(parent: String = Placement.defaultParent, memory: UInt64, cpus: UInt8, processorTime: UInt64? = nil) {
        self.parent = parent
        var limits = CgroupLimits()
        limits.memory = memory + memory / Self.memoryOverheadShare + Self.memoryOverhead
        limits.processorTime = processorTime ?? (UInt64(cpus) + 1) * Self.period
        limits.threads = UInt64(cpus) + Self.otherThreads
        self.limits = limits
    }

    func makeCgroup() throws(JailError) -> Cgroup {
        var generator = SystemRandomNumberGenerator()
        let number: UInt64 = generator.next()
        return try Cgroup("vm-" + String(number, radix: 16), below: parent, limits: limits)
    }
}

extension RunOptions {
    /// Root's VMMs have one unless it is declined. Others would need a part of the hierarchy to be theirs.
    var placement: Placement? {
        guard cgroups ?? (Identity.available() == .fresh) else { return nil }
        return Placement(parent: cgroupParent, memory: memory, cpus: cpus, processorTime: processorTime)
    }
}
