// What the guest's kernel says on its serial port: kept for the report of a panic, echoed when asked for.
import LinuxSystem
import Synchronization

public final class KernelLog: Sendable {
    private struct Lines: Sendable {
        var finished: [[UInt8]] = []
        var current: [UInt8] = []
    }

    /// A guest can print for ever: only the last lines are kept, and each up to a length.
    private static let lineLimit = 256
    private static let kept = 96

    private let lines = Mutex(Lines())
    private let echo: Bool

    public init(echo: Bool) { self.echo = echo }

    public func receive(_ byte: UInt8) {
        let line = lines.withLock { state -> [UInt8]? in
            if byte == 0x0A {
                let line = state.current
                state.current = []
                state.finished.append(line)
                if state.finished.count > KernelLog.kept { state.finished.removeFirst() }
                return line
            }
            if byte != 0x0D, state.current.count < KernelLog.lineLimit { state.current.append(byte) }
            return nil
        }
        if echo, let line { printError("kernel: " + KernelLog.printable(line)) }
    }

    /// The kernel's last words, oldest first.
    public var lastLines: [String] {
        lines.withLock { state in
            (state.finished + (state.current.isEmpty ? [] : [state.current])).map(KernelLog.printable)
        }
    }

    /// The line that says why the kernel gave up, if it did; after an oops, of which that says nothing, also what it was and where.
    public var panic: String? {
        let lines = lastLines
        guard let panic = lines.last(with: "Kernel panic") else { return nil }
        // Or "Fatal exception in interrupt".
        guard panic.range(ofSubstring: "Fatal exception") != nil, let oops = lines.last(with: "Oops: ") else { return panic }
        let details = [oops, lines.last(with: "RIP: "), lines.last(with: "EFLAGS: ")].compactMap { $0 }
        return "\(panic) (\(details.joined(separator: ", ")))"
    }

    /// Control characters don't reach the user's terminal.
    private static func printable(_ bytes: [UInt8]) -> String {
        String(decoding: bytes.map { $0 < 0x20 && $0 != 0x09 || $0 == 0x7F ? 0x3F : $0 }, as: UTF8.self)
    }
}

extension [String] {
    /// The last one with `part` in it, from there on.
    fileprivate func last(with part: String) -> String? {
        for line in reversed() {
            if let start = line.range(ofSubstring: part) { return String(line[start...]) }
        }
        return nil
    }
}

extension String {
    /// Where `part` begins (the standard library has no search without Foundation).
    func range(ofSubstring part: String) -> String.Index? {
        var index = startIndex
        while index < endIndex {
            if self[index...].hasPrefix(part) { return index }
            index = self.index(after: index)
        }
        return nil
    }
}
