// A process that a test starts and talks to: pipes or a terminal, signals, time limits (CTestProcess).
import CTestProcess
import Foundation
import Glibc
import Synchronization

/// How a process ended.
enum Ending: Equatable, Sendable, CustomStringConvertible {
    case exited(Int32)
    case signalled(Int32)
    /// It had to be killed.
    case timedOut

    init(waitStatus: Int32) { self = waitStatus & 0x7F == 0 ? .exited((waitStatus >> 8) & 0xFF) : .signalled(waitStatus & 0x7F) }

    var description: String {
        switch self {
        case .exited(let code): "exit status \(code)"
        case .signalled(let number): "signal \(number)"
        case .timedOut: "no end within its time"
        }
    }
}

/// What is left of a process that has ended.
struct Outcome: Sendable, CustomStringConvertible {
    let ending: Ending
    let output: [UInt8]
    let error: [UInt8]
    /// Of a process that had to be killed: what it was waiting for.
    var stall = ""

    var text: String { String(decoding: output, as: UTF8.self) }
    var errorText: String { String(decoding: error, as: UTF8.self) }
    var lines: [String] { text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init) }

    var description: String { "\(ending); output \"\(text.suffix(2000))\"; error \"\(errorText.suffix(2000))\"\(stall)" }
}

/// Described by what is known of it so far, for the report of an expectation that failed.
final class TestProcess: Sendable, CustomStringConvertible {
    enum Streams {
        /// Three pipes; standard input stays open until `closeInput`.
        case pipes
        /// Output and error in pipes, input from /dev/null.
        case noInput
        /// A terminal of so many rows and columns, controlling the process.
        case terminal(rows: UInt16, columns: UInt16)
    }

    private struct Received {
        var bytes: [UInt8] = []
        var isFinished = false
    }

    let pid: pid_t
    private let input: Mutex<Int32>
    private let output = Mutex(Received())
    private let error = Mutex(Received())
    private let ending = Mutex<Ending?>(nil)

    /// A test that waits for ever helps nobody; the lab is slow.
    static let timeLimit: TimeInterval = 150

    init(_ arguments: [String], environment: [String: String], directory: String? = nil, _ streams: Streams) throws {
        var started = test_process()
        let (kind, rows, columns): (test_process_streams, UInt16, UInt16) =
            switch streams {
            case .pipes: (TEST_PROCESS_PIPES, 0, 0)
            case .noInput: (TEST_PROCESS_NO_INPUT, 0, 0)
            case .terminal(let rows, let columns): (TEST_PROCESS_TERMINAL, rows, columns)
            }
        // SAFETY: the vectors' strings live until they are freed, after the call that reads them.
        let argv = unsafe arguments.map { unsafe strdup($0) } + [nil]
        let envp = unsafe environment.map { unsafe strdup("\($0.key)=\($0.value)") } + [nil]
        defer { unsafe (argv + envp).forEach { unsafe free($0) } }
        let code = unsafe test_process_start(&started, argv, envp, directory, kind, rows, columns)
        guard code == 0 else { throw TestError(arguments[0], code) }
        pid = started.pid
        input = Mutex(started.input)
        let (outputEnd, errorEnd) = (started.output, started.error)
        Thread.detachNewThread { [self] in Self.collect(outputEnd, { change in output.withLock { change(&$0) } }) }
        if errorEnd < 0 {
            error.withLock { $0.isFinished = true }
        } else {
            Thread.detachNewThread { [self] in Self.collect(errorEnd, { change in error.withLock { change(&$0) } }) }
        }
    }

    deinit { closeInput() }

    private static func collect(_ descriptor: Int32, _ change: ((inout Received) -> Void) -> Void) {
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            // SAFETY: read fills at most the array's count.
            let count = unsafe chunk.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            // A terminal whose last user is gone reports EIO.
            if count <= 0 { break }
            change { $0.bytes += chunk[..<count] }
        }
        close(descriptor)
        change { $0.isFinished = true }
    }

    // MARK: Talking

    /// Blocks until the process has taken them all; false if it is gone.
    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
        let descriptor = input.withLock { $0 }
        var sent = 0
        while sent < bytes.count {
            // SAFETY: write reads within the array.
            let count = unsafe bytes.withUnsafeBytes { unsafe write(descriptor, $0.baseAddress?.advanced(by: sent), $0.count - sent) }
            if count < 0 && errno == EINTR { continue }
            if count <= 0 { return false }
            sent += count
        }
        return true
    }

    @discardableResult
    func send(_ text: String) -> Bool { send(Array(text.utf8)) }

    func closeInput() {
        input.withLock { descriptor in
            if descriptor >= 0 { close(descriptor) }
            descriptor = -1
        }
    }

    func signal(_ number: Int32) { kill(pid, number) }

    func resize(rows: UInt16, columns: UInt16) {
        input.withLock { descriptor in _ = test_process_resize(descriptor, rows, columns) }
    }

    /// The modes of the terminal as the process has set them.
    var terminalModes: termios {
        var modes = termios()
        // SAFETY: tcgetattr fills one termios; Linux answers on the master side too.
        input.withLock { descriptor in _ = unsafe tcgetattr(descriptor, &modes) }
        return modes
    }

    var outputSoFar: String { String(decoding: output.withLock { $0.bytes }, as: UTF8.self) }
    var errorSoFar: String { String(decoding: error.withLock { $0.bytes }, as: UTF8.self) }

    var description: String {
        "process \(pid), \(reap() ? "ended" : "running"); output \"\(outputSoFar.suffix(2000))\"; error \"\(errorSoFar.suffix(2000))\""
    }

    /// Waits until the output contains `text`; false if it never does.
    func sees(_ text: String, within limit: TimeInterval = timeLimit) -> Bool {
        wait(limit) { self.outputSoFar.contains(text) || (self.output.withLock { $0.isFinished } && !self.outputSoFar.contains(text)) }
            && outputSoFar.contains(text)
    }

    /// The same of standard error.
    func complains(_ text: String, within limit: TimeInterval = timeLimit) -> Bool {
        let complaint = { self.errorSoFar.contains(text) }
        return wait(limit) { complaint() || self.error.withLock { $0.isFinished } } && complaint()
    }

    // MARK: Ending

    private func wait(_ limit: TimeInterval, until condition: () -> Bool) -> Bool {
        let deadline = Date(timeIntervalSinceNow: limit)
        while !condition() {
            if Date() > deadline { return false }
            usleep(4000)
        }
        return true
    }

    private func reap() -> Bool {
        ending.withLock { ending in
            if ending != nil { return true }
            var status: Int32 = 0
            // SAFETY: waitpid writes one int.
            guard unsafe waitpid(pid, &status, WNOHANG) == pid else { return false }
            ending = Ending(waitStatus: status)
            return true
        }
    }

    func hasEnded(within limit: TimeInterval) -> Bool { wait(limit) { reap() } }

    /// Waits for the end and for the last of the output; kills a process that takes too long.
    func finish(within limit: TimeInterval = timeLimit) -> Outcome {
        var stall = ""
        if !hasEnded(within: limit) {
            stall = Stall.describe(pid)
            // The guest hears of it by an interrupt of its socket device: a machine that goes on then had missed one, or a timer.
            kill(pid, SIGCONT)
            if hasEnded(within: 10) {
                stall += "\nSIGCONT, and it ended"
            } else {
                stall += "\nSIGCONT, and it did not end within 10 s"
                kill(pid, SIGKILL)
                _ = hasEnded(within: 10)
            }
            ending.withLock { $0 = .timedOut }
        }
        // A terminal's master sees the end only when all copies of the other side are closed.
        _ = wait(10) { output.withLock { $0.isFinished } && error.withLock { $0.isFinished } }
        return Outcome(
            ending: ending.withLock { $0 } ?? .timedOut, output: output.withLock { $0.bytes }, error: error.withLock { $0.bytes }, stall: stall)
    }
}

struct TestError: Error, CustomStringConvertible {
    let description: String
    init(_ call: String, _ code: Int32 = errno) { description = unsafe "\(call): \(String(cString: strerror(code)))" }
}
