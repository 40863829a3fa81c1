// `swiftlet-vmm --probe`: what this host's KVM offers, as `key=value` lines for `swiftlet doctor`.
import AddressSpace
import KVM
import LinuxSystem
import Machine

public enum HostReport {
    /// Prints the report; 0 if the host can run microVMs, otherwise 1.
    public static func print() -> Int32 {
        let kvm: KVM
        do throws(KVMError) {
            kvm = try KVM()
        } catch {
            let state =
                switch error {
                case .device(.missing): "missing"
                case .device(.notPermitted): "denied"
                default: "unusable"
                }
            Swift.print("kvm=\(state)\nkvm_detail=\(error)\nprobe=unavailable")
            return 1
        }
        Swift.print("kvm=ok\napi_version=12")
        var complete = true
        for capability in KVM.Capability.allCases {
            let value = kvm.value(of: capability)
            if capability == .maximumVCPUs {
                Swift.print("vcpus_max=\(value)")
            } else {
                Swift.print("capability.\(capability)=\(value == 0 ? 0 : 1)")
                if value == 0, KVM.Capability.required.contains(capability) { complete = false }
            }
        }
        guard complete else {
            Swift.print("probe=unavailable\nprobe_detail=capabilities are missing")
            return 1
        }
        return printProbe(kvm)
    }

    private static func printProbe(_ kvm: borrowing KVM) -> Int32 {
        do {
            switch try runProbe(kvm) {
            case .good(let nanoseconds):
                Swift.print("probe=ok\nprobe_ns=\(nanoseconds)")
                return 0
            case .slow(let nanoseconds): Swift.print("probe=slow\nprobe_ns=\(nanoseconds)")
            case .failed(let why): Swift.print("probe=failed\nprobe_detail=\(why)")
            }
        } catch { Swift.print("probe=failed\nprobe_detail=\(error)") }
        return 1
    }

    /// A machine of 2 MiB that runs the probe and nothing else.
    private static func runProbe(_ kvm: borrowing KVM) throws -> HostProbe.Outcome {
        let machine = try kvm.createVirtualMachine()
        try machine.setTSSAddress(Layout.tss)
        try machine.createInterruptController()
        let memory = try GuestMemory(size: 2 << 20)
        let region = memory.regions[0]
        try machine.setMemory(slot: 0, guestAddress: 0, size: region.count, hostAddress: region.hostAddress)
        try BootState.writeTables(to: memory)
        let vcpu = try machine.createVCPU(id: 0)
        let policy = CPUIDPolicy(
            host: try kvm.supportedCPUID(), cpus: 1, hasDeadlineTimer: kvm.value(of: .tscDeadlineTimer) != 0)
        try vcpu.setCPUID(policy.table(for: 0))
        return try HostProbe.run(on: vcpu, memory: memory)
    }
}
