// What a VMM may use of the machine, as files of its cgroup (cgroups(7); cgroup-v2.rst, and cgroup-v1/*.rst).

/// Nil or empty: as much as there is.
public struct CgroupLimits: Equatable, Sendable {
    /// How fast one device of the host is read and written (io.max): bytes or operations a second.
    public struct DeviceRate: Equatable, Sendable {
        public enum Kind: String, Sendable, CaseIterable {
            case readBytes = "rbps"
            case writeBytes = "wbps"
            case readOperations = "riops"
            case writeOperations = "wiops"
        }

        public var major: UInt32
        public var minor: UInt32
        public var kind: Kind
        public var rate: UInt64

        public init(major: UInt32, minor: UInt32, kind: Kind, rate: UInt64) {
            self.major = major
            self.minor = minor
            self.kind = kind
            self.rate = rate
        }
    }

    /// In bytes.
    public var memory: UInt64?
    /// What is left to it where others want more, in bytes.
    public var memoryReservation: UInt64?
    /// In microseconds of processor time in each period; `UInt64.max`: as much as there is, where it was limited before.
    public var processorTime: UInt64?
    /// In microseconds. It means nothing without `processorTime`.
    public var processorPeriod: UInt64 = 100_000
    /// Threads.
    public var threads: UInt64?
    /// 2 to 262,144, beside other cgroups' 1,024.
    public var processorShares: UInt64?
    /// 10 to 1,000, beside other cgroups' 500.
    public var diskWeight: UInt64?
    /// Processors and memory nodes, as in `0-3,7`.
    public var processors: String?
    public var memoryNodes: String?
    public var deviceRates: [DeviceRate] = []
    /// Bytes of huge pages for each size, as in `2MB`.
    public var hugePages: [String: UInt64] = [:]
    /// Files of version 2 by name.
    public var unified: [String: String] = [:]

    public init() {}
}

/// One limit, in the first of the files that the kernel has.
struct CgroupSetting {
    let ways: [(file: String, value: String)]
    /// Nothing runs where no file is there.
    let isVital: Bool

    init(_ file: String, _ value: some CustomStringConvertible, isVital: Bool = true) {
        ways = [(file, value.description)]
        self.isVital = isVital
    }

    init(firstOf ways: [(file: String, value: String)]) {
        self.ways = ways
        isVital = true
    }
}

extension CgroupLimits {
    /// Of version 2, those that are needed: one that is switched on costs every cgroup below something, `cpu` with each switch between threads.
    var controllers: [String] {
        let needed = [
            ("memory", memory != nil || memoryReservation != nil), ("cpu", processorTime != nil || processorShares != nil), ("pids", threads != nil),
            ("io", diskWeight != nil || !deviceRates.isEmpty), ("cpuset", processors != nil || memoryNodes != nil), ("hugetlb", !hugePages.isEmpty),
        ]
        var names = needed.filter(\.1).map(\.0)
        for name in unified.keys {
            let controller = String(name.prefix { $0 != "." })
            if controller != "cgroup", !names.contains(controller) { names.append(controller) }
        }
        return names
    }

    /// A file of version 2 that version 1 has no counterpart for here.
    var onlyUnified: String? {
        if processors != nil || memoryNodes != nil { return "cpuset.cpus" }
        return unified.keys.min() ?? hugePages.keys.min().map { "hugetlb.\($0).max" }
    }

    var unifiedSettings: [CgroupSetting] {
        var settings: [CgroupSetting] = []
        if let memory {
            // What is swapped out is not counted as memory; a kernel without swap has no file for it.
            settings += [CgroupSetting("memory.max", memory), CgroupSetting("memory.swap.max", memory, isVital: false)]
        }
        if let memoryReservation { settings.append(CgroupSetting("memory.low", memoryReservation)) }
        if let processorTime { settings.append(CgroupSetting("cpu.max", "\(processorTime == .max ? "max" : "\(processorTime)") \(processorPeriod)")) }
        // Weights are 1 to 10,000 here; the same lines as runc's from one scale to the other.
        if let processorShares { settings.append(CgroupSetting("cpu.weight", 1 + (max(2, processorShares) - 2) * 9999 / 262_142)) }
        if let threads { settings.append(CgroupSetting("pids.max", threads)) }
        if let diskWeight {
            let weight = 1 + (max(10, diskWeight) - 10) * 9999 / 990
            settings.append(CgroupSetting(firstOf: [("io.bfq.weight", "\(diskWeight)"), ("io.weight", "default \(weight)")]))
        }
        if let processors { settings.append(CgroupSetting("cpuset.cpus", processors)) }
        if let memoryNodes { settings.append(CgroupSetting("cpuset.mems", memoryNodes)) }
        for rate in deviceRates { settings.append(CgroupSetting("io.max", "\(rate.major):\(rate.minor) \(rate.kind.rawValue)=\(rate.rate)")) }
        for (size, limit) in hugePages.sorted(by: { $0.key < $1.key }) { settings.append(CgroupSetting("hugetlb.\(size).max", limit)) }
        for (name, value) in unified.sorted(by: { $0.key < $1.key }) { settings.append(CgroupSetting(name, value)) }
        return settings
    }

    /// Of version 1, those of one controller.
    func firstSettings(of controller: String) -> [CgroupSetting] {
        switch controller {
        case "memory":
            (memory.map { [CgroupSetting("memory.limit_in_bytes", $0), CgroupSetting("memory.memsw.limit_in_bytes", $0 * 2, isVital: false)] } ?? [])
                + (memoryReservation.map { [CgroupSetting("memory.soft_limit_in_bytes", $0)] } ?? [])
        case "cpu":
            (processorTime.map {
                [CgroupSetting("cpu.cfs_period_us", processorPeriod), CgroupSetting("cpu.cfs_quota_us", $0 == .max ? "-1" : "\($0)")]
            } ?? [])
                + (processorShares.map { [CgroupSetting("cpu.shares", $0)] } ?? [])
        case "pids": threads.map { [CgroupSetting("pids.max", $0)] } ?? []
        // Linux 5.0 has the second one only.
        default:
            (diskWeight.map { [CgroupSetting(firstOf: [("blkio.weight", "\($0)"), ("blkio.bfq.weight", "\($0)")])] } ?? [])
                + deviceRates.map { CgroupSetting("blkio.throttle.\($0.kind.firstVersion)_device", "\($0.major):\($0.minor) \($0.rate)") }
        }
    }

    /// As properties of a unit (systemd.resource-control(5)), each with its type and value as busctl(1) has them: what systemd knows of, it would undo otherwise.
    public var systemdProperties: [[String]] {
        var properties: [[String]] = []
        func add(_ name: String, _ value: UInt64?) { if let value { properties.append([name, "t", "\(value)"]) } }
        add("MemoryMax", memory)
        add("MemorySwapMax", memory)
        add("MemoryLow", memoryReservation)
        add("CPUQuotaPerSecUSec", processorTime.map { $0 == .max ? $0 : min($0, .max / 1_000_000) * 1_000_000 / max(processorPeriod, 1) })
        add("CPUQuotaPeriodUSec", processorTime.map { _ in processorPeriod })
        add("CPUWeight", processorShares.map { 1 + (max(2, $0) - 2) * 9999 / 262_142 })
        add("TasksMax", threads)
        add("IOWeight", diskWeight.map { 1 + (max(10, $0) - 10) * 9999 / 990 })
        for (name, list) in [("AllowedCPUs", processors), ("AllowedMemoryNodes", memoryNodes)] {
            guard let list, let mask = Self.mask(list) else { continue }
            properties.append([name, "ay", "\(mask.count)"] + mask.map(String.init))
        }
        return properties
    }

    /// A bit for each number of a list like `0-3,7`, the lowest first; nil for what is no list of numbers below 8192.
    static func mask(_ list: String) -> [UInt8]? {
        var mask: [UInt8] = []
        for part in list.split(separator: ",") {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
            guard ends.count <= 2, let first = ends.first ?? nil, let last = ends.last ?? nil, first >= 0, first <= last, last < 8192 else {
                return nil
            }
            for number in first...last {
                while mask.count <= number / 8 { mask.append(0) }
                mask[number / 8] |= 1 << UInt8(number % 8)
            }
        }
        return mask.isEmpty ? nil : mask
    }
}

extension CgroupLimits.DeviceRate.Kind {
    fileprivate var firstVersion: String {
        switch self {
        case .readBytes: "read_bps"
        case .writeBytes: "write_bps"
        case .readOperations: "read_iops"
        case .writeOperations: "write_iops"
        }
    }
}
