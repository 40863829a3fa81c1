// What a guest CPU says it is: the host's supported table (KVM_GET_SUPPORTED_CPUID) with what only the VMM knows filled in.
// Leaves as in Intel's SDM volume 2 (CPUID) and AMD's APM volume 3, appendix E.
public import KVM

public struct CPUIDPolicy: Sendable {
    private static let hypervisorBit: UInt32 = 1 << 31
    private static let deadlineTimerBit: UInt32 = 1 << 24
    private static let hyperthreadingBit: UInt32 = 1 << 28

    private let host: CPUID
    private let cpus: UInt32
    private let hasDeadlineTimer: Bool

    public init(host: CPUID, cpus: Int, hasDeadlineTimer: Bool) {
        self.host = host
        self.cpus = UInt32(cpus)
        self.hasDeadlineTimer = hasDeadlineTimer
    }

    /// XCR0 with every state of x87, SSE and AVX that the host's table has (leaf 0xD, EAX); nil without XSAVE.
    ///
    /// Firmware would leave only x87 on. KVM computes leaf 0xD's sizes from the XCR0 that it knows, and a KVM that is virtualised itself may miss the
    /// guest's first XSETBV: the kernel then finds the sizes inconsistent and gives AVX up.
    public var extendedControl: UInt64? {
        guard let leaf = host.entries.first(where: { $0.leaf == 0xD && $0.subleaf == 0 }), leaf.eax & 1 != 0 else { return nil }
        let avx512: UInt32 = 0xE0
        return UInt64(leaf.eax & 7 | (leaf.eax & avx512 == avx512 ? avx512 : 0))
    }

    /// Bits that an APIC id of one of the CPUs needs: one socket, one thread per core.
    private var idBits: UInt32 { cpus <= 1 ? 0 : UInt32(32 - (cpus - 1).leadingZeroBitCount) }

    /// The table for the CPU with APIC id `id`.
    public func table(for id: UInt32) -> CPUID {
        var table = host
        table.update(0x1) { entry in
            entry.ebx = (entry.ebx & 0x0000_FFFF) | (id << 24) | (cpus << 16)
            // KVM leaves the hypervisor bit to us; without it the guest finds no kvm-clock and calibrates for seconds.
            entry.ecx |= CPUIDPolicy.hypervisorBit
            if hasDeadlineTimer { entry.ecx |= CPUIDPolicy.deadlineTimerBit }
            if cpus > 1 { entry.edx |= CPUIDPolicy.hyperthreadingBit } else { entry.edx &= ~CPUIDPolicy.hyperthreadingBit }
        }
        // Intel: caches shared by one core each, save the last level (type in bits 4:0, level in 7:5).
        table.update(0x4) { entry in
            guard entry.eax & 0x1F != 0 else { return }
            let sharing = (entry.eax >> 5) & 7 >= 3 ? cpus - 1 : 0
            entry.eax = (entry.eax & 0x0000_3FFF) | (sharing << 14) | ((cpus - 1) << 26)
        }
        // No frequency, power or monitor hints of the host.
        table.update(0x6) { entry in
            entry.eax &= 1 << 2
            entry.ebx = 0
            entry.ecx = 0
        }
        table.removeAll(0xA)  // no performance counters
        table.removeAll(0x1F)
        if host.first(0xB) != nil { setTopology(&table, id) }
        setAMDTopology(&table, id)
        return table
    }

    /// Leaf 0xB: a thread level and a core level.
    private func setTopology(_ table: inout CPUID, _ id: UInt32) {
        table.removeAll(0xB)
        let levels: [(type: UInt32, shift: UInt32, count: UInt32)] = [(1, 0, 1), (2, idBits, cpus), (0, 0, 0)]
        for (index, level) in levels.enumerated() {
            var entry = CPUID.Entry(leaf: 0xB, subleaf: UInt32(index), significantSubleaf: true)
            entry.eax = level.shift
            entry.ebx = level.count
            entry.ecx = level.type << 8 | UInt32(index)
            entry.edx = id
            table.entries.append(entry)
        }
    }

    /// Leaves 0x8000_0001 (legacy core count), 0x8000_0008 (number of cores), 0x8000_001D (caches), 0x8000_001E (ids).
    private func setAMDTopology(_ table: inout CPUID, _ id: UInt32) {
        table.update(0x8000_0008) { entry in entry.ecx = (idBits << 12) | (cpus - 1) }
        table.update(0x8000_001D) { entry in
            guard entry.eax & 0x1F != 0 else { return }
            let sharing = (entry.eax >> 5) & 7 >= 3 ? cpus - 1 : 0
            entry.eax = (entry.eax & 0x0000_3FFF) | (sharing << 14)
        }
        table.update(0x8000_001E) { entry in
            entry.eax = id
            entry.ebx = id & 0xFF
            entry.ecx = 0
        }
    }
}
