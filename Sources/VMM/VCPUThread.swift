// One thread per vCPU. It blocks in KVM_RUN, passes port and memory accesses to their bus, and reports why it ended.
//
//   probing (the boot CPU only) ──good──▶ running
//
//   running ──exit──▶ bus ──▶ running
//      │
//      ├── reset, triple fault, internal error, KVM_RUN failed ──▶ reported once to EndSignal; the thread ends
//      └── the process exits
import AddressSpace
import Jail
import KVM
import LinuxSystem
import Machine

struct VCPUThread: Sendable {
    let vcpu: VCPU
    let memory: GuestMemory
    let ports: Bus
    let registers: Bus
    let timeline: Timeline
    let end: EndSignal

    /// `entry` is where the boot CPU begins; the others (nil) wait for it to start them.
    /// The guest runs when the gate is open: when every thread has its filter.
    func start(at entry: GuestAddress?, behind gate: Gate, _ filters: FilterSet) throws(SystemError) {
        try filters.startThread(named: "vcpu", .vcpu, preparing: { entry.map { prepareBoot(at: $0) } ?? true }) {
            gate.wait()
            if entry != nil { timeline.mark(.firstInstruction) }
            run()
        }
    }

    /// The probe runs on the vCPU's own thread: KVM waits for an RCU grace period, which is many milliseconds, when a vCPU changes threads.
    private func prepareBoot(at entry: GuestAddress) -> Bool {
        do {
            switch try HostProbe.run(on: vcpu, memory: memory) {
            case .good: break
            case .slow(let nanoseconds):
                end.report(.unsuitableHost("it took \(nanoseconds / 1000) µs for a few thousand kernel-mode instructions"))
                return false
            case .failed(let why):
                end.report(.unsuitableHost(why))
                return false
            }
            try BootState.apply(to: vcpu, entry: entry)
        } catch {
            end.report(.unsuitableHost("\(error)"))
            return false
        }
        return true
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
