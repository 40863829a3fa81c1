// One thread per vCPU. It blocks in KVM_RUN, passes port and memory accesses to their bus, and reports why it ended.
//
//   running ──exit──▶ bus ──▶ running
//      │
//      ├── reset, triple fault, internal error, KVM_RUN failed ──▶ reported once to EndSignal; the thread ends
//      └── the process exits
import AddressSpace
import KVM
import LinuxSystem

struct VCPUThread: Sendable {
    let vcpu: VCPU
    let memory: GuestMemory
    let ports: Bus
    let registers: Bus
    let timeline: Timeline
    let end: EndSignal

    func start() throws(SystemError) {
        try Thread.start(named: "vcpu") { run() }
    }

    private func run() {
        do throws(KVMError) {
            while true {
                let exit = try vcpu.run()
                timeline.countExit()
                switch exit {
                case .port(let access): perform(access, on: ports)
                case .memory(let access): perform(access, on: registers)
                case .interrupted, .halt: continue
                case .shutDown: return report(.tripleFault)
                case .internalError(let suberror, let data): return report(.internalError(suberror: suberror, data: data))
                case .failEntry(let reason): return report(.failEntry(reason: reason))
                case .systemEvent: return end.report(.reset)
                case .unknown(let reason): return report(.unknownExit(reason: reason))
                }
            }
        } catch { end.report(.kvm(error)) }
    }

    private func perform(_ access: VCPUExit.Access, on bus: Bus) {
        // A string instruction repeats on the same port; `count` comes from KVM, bounded by its page of data.
        for index in 0..<access.count {
            if access.isWrite {
                bus.write(access.address, size: access.size, value: vcpu.writtenValue(access, at: index))
            } else {
                vcpu.answerRead(access, at: index, value: bus.read(access.address, size: access.size))
            }
        }
    }

    private func report(_ kind: FaultReport.Kind) {
        end.report(.fault(FaultReport(kind, of: vcpu, memory: memory)))
    }
}
