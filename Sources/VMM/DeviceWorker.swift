// A thread that serves devices whose work is files of the host, so that one that keeps the host waiting holds up nothing else: not vsock, not signals, not the end.
//
// One for all disks of a machine, and one for its file systems: it sleeps in an epoll of its own, over their queues' ioeventfds and the timers of their limits. docs/adr/0015
// says why not one per disk, and why not io_uring. It exists before the guest runs, and ends with the process or when it is told to.
import Jail
import LinuxSystem
import Synchronization
import Virtio

final class DeviceWorker: Sendable {
    struct Device: Sendable {
        let transport: MMIOTransport
        /// Called after each turn.
        var afterwards: @Sendable () -> Void = {}
    }

    private enum Work {
        case stop
        case queue(MMIOTransport, index: Int, afterwards: @Sendable () -> Void)
        case timer(MMIOTransport, afterwards: @Sendable () -> Void)
    }

    private let epoll: Epoll
    private let stopping: EventFD
    private let isStopped = Atomic(false)
    /// The epoll's tokens are its indices.
    private let work: [Work]
    private let kind: ThreadKind
    private let end: EndSignal

    /// `kind`: of the thread, by which it is called, too.
    init(_ devices: [Device], as kind: ThreadKind, end: EndSignal) throws(SystemError) {
        let epoll = try Epoll()
        let stopping = try EventFD()
        var work = [Work.stop]
        try epoll.add(stopping.raw, .readable, token: 0)
        for device in devices {
            for (index, event) in device.transport.queueEvents.enumerated() {
                try epoll.add(event.raw, .readable, token: UInt64(work.count))
                work.append(.queue(device.transport, index: index, afterwards: device.afterwards))
            }
            if let descriptor = device.transport.pollDescriptor {
                try epoll.add(descriptor, .readable, token: UInt64(work.count))
                work.append(.timer(device.transport, afterwards: device.afterwards))
            }
        }
        self.epoll = consume epoll
        self.stopping = consume stopping
        self.work = work
        self.kind = kind
        self.end = end
    }

    /// Serves its devices from when the gate is open.
    func start(behind gate: Gate, _ filters: FilterSet) throws(SystemError) {
        try filters.startThread(
            named: kind.name, kind,
            preparing: {
                // Woken by a vCPU's first request, on a machine without an idle processor, it would serve that one alone, and the next one as well: a notification, two
                // switches of threads and an interrupt for each. This way the guest goes on until it waits, and gets all its answers at once.
                Thread.yieldToWakers()
                return true
            }
        ) { [self] in
            gate.wait()
            run()
            // The process is about to end. Were this the last one to know the devices, it would close their files, which its filter forbids.
            // SAFETY: only the count of references changes; it is never taken back.
            _ = unsafe Unmanaged.passRetained(self)
        }
    }

    /// Has the thread end after the turn that it is in; doesn't wait for it.
    func stop() {
        isStopped.store(true, ordering: .relaxed)
        stopping.signal()
    }

    /// Serves until it is stopped.
    func run() {
        do throws(SystemError) {
            while !isStopped.load(ordering: .relaxed) {
                try epoll.wait(timeout: -1) { event in
                    // Whoever stopped it wants no other device's turn either.
                    if isStopped.load(ordering: .relaxed) { return }
                    perform(work[Int(event.token)])
                }
            }
        } catch { end.report(.worker(error)) }
    }

    private func perform(_ work: Work) {
        switch work {
        case .stop: break
        case .queue(let transport, let index, let afterwards):
            transport.notify(queue: index)
            afterwards()
        case .timer(let transport, let afterwards):
            transport.hostReady()
            afterwards()
        }
    }
}
