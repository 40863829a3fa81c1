// KVM_CREATE_VM beside other work. The call does little but waits: the host's kernel gives each machine a worker thread, puts that into the caller's cgroup,
// and for this may have to wait until every CPU has passed through the scheduler (an RCU grace period, 5 to 20 ms).
import LinuxSystem
import Synchronization

public final class MachineCreation: Sendable {
    private let result = Mutex<Result<VirtualMachine, KVMError>?>(nil)
    private let thread = Mutex<JoinableThread?>(nil)

    init(by kvm: Int32) throws(KVMError) {
        do throws(SystemError) {
            let started = try Thread.startJoinable(named: "kvm-create") { [self] in
                let outcome = Result { () throws(KVMError) in try VirtualMachine(creatingBy: kvm) }
                result.withLock { $0 = outcome }
            }
            thread.withLock { $0 = started }
        } catch { throw .system(error) }
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
