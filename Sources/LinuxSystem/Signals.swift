// Signals as events: blocked for every thread, read from a signalfd(2).
import CLinux
import Glibc

public struct SignalDescriptor: ~Copyable, Sendable {
    public let descriptor: OwnedDescriptor

    /// Blocks `signals` for this thread and those it starts, and collects them here.
    public init(_ signals: [Int32]) throws(SystemError) {
        var set = sigset_t()
        // SAFETY: the set is a local value that the calls fill and read.
        unsafe sigemptyset(&set)
        for signal in signals { unsafe sigaddset(&set, signal) }
        unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
        let flags = Int32(SFD_CLOEXEC) | Int32(SFD_NONBLOCK)
        let raw = try systemCall("signalfd") { unsafe signalfd(-1, &set, flags) }
        descriptor = OwnedDescriptor(owning: raw)
    }

    /// The next pending signal's number, or nil.
    public borrowing func next() -> Int32? {
        var info = signalfd_siginfo()
        let size = MemoryLayout<signalfd_siginfo>.size
        // SAFETY: read(2) fills at most one record.
        let count = unsafe read(descriptor.raw, &info, size)
        return count == size ? Int32(info.ssi_signo) : nil
    }
}

/// Every signal that a user may send to a container and a process may survive; the rest keep their default meaning for Swiftlet's own processes.
public let forwardedSignals: [Int32] = [SIGHUP, SIGINT, SIGQUIT, SIGABRT, SIGUSR1, SIGUSR2, SIGALRM, SIGTERM, SIGCONT, SIGWINCH] + Array(34...64)

/// Sets a signal's disposition to "ignore".
public func ignoreSignal(_ signal: Int32) {
    // SAFETY: SIG_IGN is a constant of the C library.
    _ = Glibc.signal(signal, SIG_IGN)
}
