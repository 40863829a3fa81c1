// KVM_CREATE_VM beside other work. The call does little but waits: the host's kernel gives each machine a worker thread, puts that into the caller's cgroup,
// and for this may have to wait until every CPU has passed through the scheduler (an RCU grace period, 5 to 20 ms).
import Glibc
import LinuxSystem
import Synchronization

public final class MachineCreation: Sendable {
    private let result = Mutex<Result<VirtualMachine, KVMError>?>(nil)
    private let thread = Mutex<JoinableThread?>(nil)
    /// In microseconds. Together some times what an emulated processor needs.
    private static let step: UInt32 = 100
    private static let steps = 20

    init(by kvm: Int32) throws(KVMError) {
        do throws(SystemError) {
            let started = try Thread.startJoinable(named: "kvm-create") { [self] in
                let outcome = Result { () throws(KVMError) in try VirtualMachine(creatingBy: kvm) }
                result.withLock { $0 = outcome }
            }
            thread.withLock { $0 = started }
        } catch { throw .system(error) }
    }

    /// On one processor, has the kernel go first, until it waits: it makes the machine with a thread of its own, a new one, whose turn would come some milliseconds later
    /// than everybody else's, and only then would its wait begin. Returns soon in any case.
    public func letTheKernelBegin() {
        guard Thread.shareOneProcessor else { return }
        var used: UInt64?
        for _ in 0..<Self.steps {
            usleep(Self.step)
            let now = thread.withLock { $0?.processorTime }
            if now == used { return }
            used = now
        }
    }

    /// The machine, or why there is none. The thread that made it is gone then: it began with more rights than its process has now.
    public func wait() throws(KVMError) -> VirtualMachine {
        thread.withLock { thread in
            thread?.join()
            thread = nil
        }
        guard let outcome = result.withLock({ $0 }) else { preconditionFailure("the thread leaves a result") }
        return try outcome.get()
    }
}
