// One thread per vCPU. It blocks in KVM_RUN, passes port and memory accesses to their bus, and reports why it ended.
//
//   waiting for its vCPU ──given──▶ probing (the boot CPU only) ──good──▶ running
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
import Synchronization

/// The machine's vCPUs on their way to their threads, which are there first.
final class VCPUHandover: Sendable {
    private let given: Gate
    private let vcpus = Mutex<[VCPU]>([])

    init() throws(SystemError) { given = try Gate() }

    /// Once; `vcpus` in the order of their ids.
    func give(_ vcpus: [VCPU]) {
        self.vcpus.withLock { $0 = vcpus }
        given.open()
    }

    /// Waits for it.
    func take(_ id: Int) -> VCPU {
        given.wait()
        return vcpus.withLock { $0[id] }
    }
}

struct VCPUThread: Sendable {
    let id: Int
    let memory: GuestMemory
    let ports: Bus
    let registers: Bus
    let timeline: Timeline
    let end: EndSignal

    /// `entry` is where the boot CPU begins; the others (nil) wait for it to start them.
    /// The guest runs when the gate is open: when every thread has its filter.
    func start(at entry: GuestAddress?, from handover: VCPUHandover, behind gate: Gate, _ filters: FilterSet) throws(SystemError) {
        try filters.startThread(named: "vcpu", .vcpu) {
            let vcpu = handover.take(id)
            if let entry, !prepareBoot(vcpu, at: entry) { return }
            gate.wait()
            if entry != nil { timeline.mark(.firstInstruction) }
            run(vcpu)
        }
    }

    /// The probe runs on the vCPU's own thread: KVM waits for an RCU grace period, which is many milliseconds, when a vCPU changes threads.
    private func prepareBoot(_ vcpu: VCPU, at entry: GuestAddress) -> Bool {
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

    private func run(_ vcpu: VCPU) {
        do throws(KVMError) {
            while true {
                let exit = try vcpu.run()
                timeline.countExit()
                switch exit {
                case .port(let access): perform(access, of: vcpu, on: ports)
                case .memory(let access): perform(access, of: vcpu, on: registers)
                case .interrupted, .halt: continue
                case .shutDown: return report(.tripleFault, of: vcpu)
                case .internalError(let suberror, let data): return report(.internalError(suberror: suberror, data: data), of: vcpu)
                case .failEntry(let reason): return report(.failEntry(reason: reason), of: vcpu)
                case .systemEvent: return end.report(.reset)
                case .unknown(let reason): return report(.unknownExit(reason: reason), of: vcpu)
                }
            }
        } catch { end.report(.kvm(error)) }
    }

    private func perform(_ access: VCPUExit.Access, of vcpu: VCPU, on bus: Bus) {
        // A string instruction repeats on the same port; `count` comes from KVM, bounded by its page of data.
        for index in 0..<access.count {
            if access.isWrite {
                bus.write(access.address, size: access.size, value: vcpu.writtenValue(access, at: index))
            } else {
                vcpu.answerRead(access, at: index, value: bus.read(access.address, size: access.size))
            }
        }
    }

    private func report(_ kind: FaultReport.Kind, of vcpu: VCPU) {
        end.report(.fault(FaultReport(kind, of: vcpu, memory: memory)))
    }
}
