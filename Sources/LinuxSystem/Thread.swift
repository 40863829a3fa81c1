// pthreads: started detached, named, with a small stack. The process ends by exit(3), never by joining them.
import CLinux
import Glibc

public enum Thread {
    /// In bytes; only what a thread touches is charged.
    public static let stackSize = 256 << 10

    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// Has the calling thread not take the processor from the thread that wakes it up (SCHED_BATCH); where there is an idle processor, nothing changes. Best effort.
    public static func yieldToWakers() { _ = clinux_schedule_as_batch() }

    /// Whether whatever runs keeps everything else of this process, and of its children, from running.
    public static var shareOneProcessor: Bool { clinux_processor_count() == 1 }

    /// Starts a thread that somebody waits for, on a stack of `stackSize` bytes.
    public static func startJoinable(named name: StaticString, _ run: @escaping @Sendable () -> Void) throws(SystemError) -> JoinableThread {
        JoinableThread(try create(named: name, stackSize: stackSize, isDetached: false, run))
    }

    /// Starts a thread whose name (at most 15 bytes) shows in ps(1), top(1) and violation reports.
    public static func start(
        named name: StaticString, stackSize: Int = Thread.stackSize, _ run: @escaping @Sendable () -> Void
    ) throws(SystemError) {
        _ = try create(named: name, stackSize: stackSize, isDetached: true, run)
    }

    private static func create(
        named name: StaticString, stackSize: Int, isDetached: Bool, _ run: @escaping @Sendable () -> Void
    ) throws(SystemError) -> pthread_t {
        var attributes = pthread_attr_t()
        // SAFETY: the attribute object lives until pthread_create has copied it; the box is released by the new thread exactly once.
        unsafe pthread_attr_init(&attributes)
        unsafe pthread_attr_setstacksize(&attributes, stackSize)
        if isDetached { unsafe pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED)) }
        let box = unsafe Unmanaged.passRetained(
            Body {
                unsafe clinux_set_thread_name(UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self))
                run()
            })
        var thread = pthread_t()
        let code = unsafe pthread_create(
            &thread, &attributes,
            { argument in
                if let argument = unsafe argument { unsafe Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run() }
                return nil
            }, box.toOpaque())
        unsafe pthread_attr_destroy(&attributes)
        if code != 0 {
            unsafe box.release()
            throw SystemError(call: "pthread_create", subject: String(describing: name), errno: code)
        }
        return thread
    }
}

/// A thread to wait for, exactly once.
public struct JoinableThread: Sendable {
    private let thread: pthread_t

    fileprivate init(_ thread: pthread_t) { self.thread = thread }

    /// What it has used, in nanoseconds; nil when it has ended.
    public var processorTime: UInt64? {
        var clock = clockid_t()
        var time = timespec()
        // SAFETY: both calls write one value; the thread was not joined yet.
        guard unsafe pthread_getcpuclockid(thread, &clock) == 0, unsafe clock_gettime(clock, &time) == 0 else { return nil }
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// Returns when the thread has ended.
    public func join() {
        // It was started as joinable; its owner joins it once.
        _ = pthread_join(thread, nil)
    }
}
