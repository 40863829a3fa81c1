// One command, timed; and all of them in turn.
import CStopwatch
import Glibc

/// A started program whose standard output we hold.
struct Child {
    let pid: pid_t
    /// CLOCK_MONOTONIC in nanoseconds, just before execve(2).
    let executed: Int64
    let output: Int32

    /// `words`: as in a plan.
    init(_ words: [String]) {
        let variables = words.prefix { !$0.hasPrefix("/") && $0.contains("=") }
        let words = words.dropFirst(variables.count)
        guard let program = words.first else { fail("a command without a program") }
        var pipe: [Int32] = [0, 0]
        // SAFETY: pipe2 writes two descriptors.
        guard unsafe stopwatch_pipe(&pipe) == 0 else { fail("no pipe") }
        let log = unsafe stopwatch_open_write("/tmp/stopwatch.stderr")
        var pointers = unsafe words.map { unsafe strdup($0) }
        unsafe pointers.append(nil)
        var environment = unsafe (variables + ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]).map { unsafe strdup($0) }
        unsafe environment.append(nil)
        var executed: Int64 = 0
        // SAFETY: both vectors end with NULL and outlive the call, in which the child copies them by execve.
        pid = unsafe stopwatch_spawn(&pointers, &environment, pipe[1], log, &executed)
        guard pid > 0 else { fail("cannot start \(program): error \(stopwatch_errno())") }
        self.executed = executed
        output = pipe[0]
        close(pipe[1])
        close(log)
        unsafe (pointers + environment).forEach { unsafe free($0) }
    }

    /// The next bytes' count; 0 at the end.
    func read() -> Int {
        var buffer: [UInt8] = Array(repeating: 0, count: 4096)
        while true {
            // SAFETY: read writes at most the array's count.
            let count = unsafe buffer.withUnsafeMutableBytes { unsafe Glibc.read(output, $0.baseAddress, $0.count) }
            if count >= 0 || stopwatch_errno() != EINTR { return max(0, count) }
        }
    }

    /// The exit code, or 128 + n after signal n.
    func wait() -> Int32 {
        var status: Int32 = 0
        // SAFETY: waitpid writes one int.
        while unsafe waitpid(pid, &status, 0) < 0, stopwatch_errno() == EINTR {}
        close(output)
        return status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + (status & 0x7F)
    }
}

struct Trial {
    /// CLOCK_MONOTONIC in nanoseconds, for figures that the command itself writes down.
    let executed: Int64
    /// From execve, in nanoseconds; -1 if there was no output.
    let firstByte: Int64
    let exit: Int64
    let status: Int32

    init(_ words: [String]) {
        let child = Child(words)
        var first: Int64 = -1
        while child.read() > 0 {
            if first < 0 { first = stopwatch_now() - child.executed }
        }
        executed = child.executed
        status = child.wait()
        exit = stopwatch_now() - child.executed
        firstByte = first
    }
}

/// Writes out what is dirty, then has the kernel forget the pages of files, directory entries and inodes.
func dropPages() {
    sync()
    save("3", to: "/proc/sys/vm/drop_caches")
    usleep(30_000)
}

/// Some waits of the kernel end with its tick of 4 ms, so that a start takes longer by up to a tick, depending on when in one it began: each round begins elsewhere.
private func waitForPhase(_ round: Int) {
    let tick: Int64 = 4_000_000
    // The golden section: any number of rounds spreads well.
    let phase = Int64(round) * 2_472_136 % tick
    let now = stopwatch_now()
    let end = now - now % tick + tick + phase
    while stopwatch_now() < end {}
}

/// One line per trial: name, situation, round, first byte, exit, when it was executed; separated by tabs.
func timeAll(_ plan: Plan, rounds: Int) -> String {
    var lines = ""
    for round in 0..<rounds {
        for command in plan.commands {
            // What the last command left to be done by the kernel (freeing its memory, RCU callbacks) is not this one's.
            usleep(30_000)
            if command.situation == .cold { dropPages() }
            var machine: Int32 = -1
            if command.situation == .beside {
                machine = stopwatch_create_machine()
                guard machine >= 0 else { fail("cannot create a virtual machine: error \(stopwatch_errno())") }
                usleep(30_000)
            }
            waitForPhase(round)
            let trial = Trial(command.words(round: round))
            if machine >= 0 { close(machine) }
            lines += "\(command.name)\t\(command.situation.rawValue)\t\(round)\t\(trial.firstByte)\t\(trial.exit)\t\(trial.executed)\n"
            if trial.status != 0 {
                let text = String(decoding: readWhole("/tmp/stopwatch.stderr"), as: UTF8.self)
                fail("\(command.name) ended with status \(trial.status): \(text)")
            }
        }
        let line = Array("  round \(round + 1) of \(rounds)\n".utf8)
        // SAFETY: write reads the array during the call.
        _ = unsafe line.withUnsafeBytes { unsafe write(2, $0.baseAddress, $0.count) }
    }
    return lines
}
