// What config.json, or `swiftlet update`, lets a container use, as limits of its VMM's cgroup. Memory and threads are another matter: they depend on the machine.
import Jail
import OCI

extension RuntimeResources {
    func apply(to limits: inout CgroupLimits) {
        if let reservation = memoryReservation, reservation > 0 { limits.memoryReservation = UInt64(reservation) }
        if let quota, quota > 0 { limits.processorTime = UInt64(quota) }
        if let period, period > 0 {
            limits.processorPeriod = period
            // Kept for a quota that comes later.
            if limits.processorTime == nil { limits.processorTime = .max }
        }
        if let shares, shares > 0 { limits.processorShares = shares }
        if let weight = diskWeight, weight > 0 { limits.diskWeight = weight }
        if !processors.isEmpty { limits.processors = processors }
        if !memoryNodes.isEmpty { limits.memoryNodes = memoryNodes }
        limits.deviceRates = throttles.map { throttle in
            let kind: CgroupLimits.DeviceRate.Kind =
                switch throttle.kind {
                case .readBytes: .readBytes
                case .writeBytes: .writeBytes
                case .readOperations: .readOperations
                case .writeOperations: .writeOperations
                }
            return CgroupLimits.DeviceRate(major: throttle.major, minor: throttle.minor, kind: kind, rate: throttle.rate)
        }
        limits.hugePages = hugePages
        limits.unified = unified
    }
}
