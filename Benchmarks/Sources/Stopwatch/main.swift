// The stopwatch: executes the commands of a plan in turn, round after round, and writes down when each was executed, when its first byte came, and when it
// had ended. It is small on purpose: it shares the machine with what it measures.
//
// usage: Stopwatch time PLAN ROUNDS RESULT
//        Stopwatch memory RAM RESULT COMMAND [ARGUMENT...]
//        Stopwatch sharing RAM RESULT COMMAND [ARGUMENT...]
//        Stopwatch clocks RESULT     how far CLOCK_REALTIME, strace's clock, is ahead of CLOCK_MONOTONIC
import CStopwatch
import Glibc

/// One sentence on standard error, and the end.
func fail(_ text: String) -> Never {
    let line = Array(("stopwatch: " + text + "\n").utf8)
    // SAFETY: write reads the array during the call.
    _ = unsafe line.withUnsafeBytes { unsafe write(2, $0.baseAddress, $0.count) }
    exit(1)
}

func save(_ text: String, to path: String) {
    let file = unsafe stopwatch_open_write(path)
    guard file >= 0 else { fail("cannot write \(path)") }
    let bytes = Array(text.utf8)
    var done = 0
    while done < bytes.count {
        // SAFETY: write reads inside the array during the call.
        let count = unsafe bytes.withUnsafeBytes { unsafe write(file, $0.baseAddress?.advanced(by: done), bytes.count - done) }
        guard count > 0 else { fail("cannot write \(path)") }
        done += count
    }
    close(file)
}

let arguments = CommandLine.arguments
switch arguments.dropFirst().first {
case "time" where arguments.count == 5:
    guard let rounds = Int(arguments[3]), rounds > 0 else { fail("ROUNDS is a number, not '\(arguments[3])'") }
    save(timeAll(Plan(path: arguments[2]), rounds: rounds), to: arguments[4])
case "memory" where arguments.count > 4:
    guard let size = Int(arguments[2]), size > 0 else { fail("RAM is a number of bytes, not '\(arguments[2])'") }
    save(watchMemory(of: Array(arguments[4...]), guestMemory: size), to: arguments[3])
case "sharing" where arguments.count > 4:
    guard let size = Int(arguments[2]), size > 0 else { fail("RAM is a number of bytes, not '\(arguments[2])'") }
    save(watchSharing(of: Array(arguments[4...]), guestMemory: size), to: arguments[3])
case "clocks" where arguments.count == 3: save("\(stopwatch_clock_distance())\n", to: arguments[2])
default: fail("usage: Stopwatch time PLAN ROUNDS RESULT | memory|sharing RAM RESULT COMMAND [ARGUMENT...] | clocks RESULT")
}
