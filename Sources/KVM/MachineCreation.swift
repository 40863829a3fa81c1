// KVM_CREATE_VM beside other work. The call does little but waits: the host's kernel gives each machine a worker thread, puts that into the caller's cgroup,
// and for this may have to wait until every CPU has passed through the scheduler (an RCU grace period, 5 to 20 ms).
import Glibc
import LinuxSystem
import Synchronization

public final class MachineCreation: Sendable {
    private let result = Mutex<Result<VirtualMachine, KVMError>?>(nil)
    private let finished: EventFD

    init(by kvm: Int32) throws(KVMError) {
        do throws(SystemError) {
            finished = try EventFD()
            try Thread.start(named: "kvm-create") { [self] in
                let outcome = Result { () throws(KVMError) in try VirtualMachine(creatingBy: kvm) }
                result.withLock { $0 = outcome }
                finished.signal()
            }
        } catch { throw .system(error) }
    }

    /// The machine, or why there is none.
    public func wait() throws(KVMError) -> VirtualMachine {
        var entry = pollfd(fd: finished.raw, events: Int16(POLLIN), revents: 0)
        while true {
            if let outcome = result.withLock({ $0 }) { return try outcome.get() }
            do throws(SystemError) {
                // SAFETY: poll reads and writes one entry.
                try systemCall("poll") { unsafe poll(&entry, 1, -1) }
            } catch { throw .system(error) }
        }
    }
}
