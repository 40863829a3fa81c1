// The cgroup that a VMM is born into, and what it may use there (docs/adr/0013).
import Glibc
import Jail

struct Placement: Equatable, Sendable {
    /// Beside guest RAM: page tables (a 512th of it for KVM's, as much for the host's), the machine's state in KVM, the VMM itself, and room for the pages of
    /// image files that it reads, which the kernel takes back when they are in the way. In bytes.
    static let memoryOverhead: UInt64 = 64 << 20
    static let memoryOverheadShare: UInt64 = 64
    /// Beside vCPUs: the event loop, streams, disks, and KVM's worker.
    static let otherThreads: UInt64 = 16
    /// For the server of the host's files: for each file that the guest knows it holds one open, with what the host's kernel keeps of it. In bytes.
    static let fileServerOverhead: UInt64 = 64 << 20
    static let fileServerShare: UInt64 = 4

    let parent: String
    /// Nil: one that nobody else has.
    var name: String?
    /// Where systemd makes it, wherever that is.
    var scope: SystemdScope?
    var limits: CgroupLimits

    init(parent: String, memory: UInt64, cpus: UInt8) {
        self.parent = parent
        var limits = CgroupLimits()
        limits.memory = memory + memory / Self.memoryOverheadShare + Self.memoryOverhead
        limits.threads = UInt64(cpus) + Self.otherThreads
        self.limits = limits
    }

    mutating func addFileServer(memory: UInt64) {
        limits.memory = limits.memory.map { $0 + memory / Self.fileServerShare + Self.fileServerOverhead }
        limits.threads = limits.threads.map { $0 + 2 }
    }

    /// With `scope`: the one that systemd has begun.
    func makeCgroup(_ scope: SystemdScope.Started?) throws(JailError) -> Cgroup {
        if let path = scope?.path, let slash = path.lastIndex(of: "/") {
            return try Cgroup(String(path[path.index(after: slash)...]), below: String(path[..<slash]), limits: limits)
        }
        if let name { return try Cgroup(name, below: parent, limits: limits) }
        var generator = SystemRandomNumberGenerator()
        let number: UInt64 = generator.next()
        return try Cgroup("vm-" + String(number, radix: 16), below: parent, limits: limits)
    }
}

extension RunOptions {
    /// Root's VMMs have one unless it is declined. Others would need a part of the hierarchy to be theirs.
    func placement() throws(ContainerError) -> Placement? {
        guard cgroups ?? (Identity.available == .fresh) else {
            if processorShares != nil || diskWeight != nil {
                throw .usage(
                    "--cpu-shares and --blkio-weight need a cgroup: run as root without --cgroups=disabled, or leave them out",
                    command: "swiftlet run")
            }
            return nil
        }
        var placement = Placement(parent: cgroupParent, memory: memory, cpus: cpus)
        if !bindMounts.isEmpty { placement.addFileServer(memory: memory) }
        placement.limits.processorTime = processorTime
        placement.limits.processorShares = processorShares
        placement.limits.diskWeight = diskWeight
        return placement
    }
}
