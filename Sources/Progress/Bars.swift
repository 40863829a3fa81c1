// Progress bars as text: one line for each layer, no wider and no more of them than the terminal has room for.
import CLinux
import Glibc

struct TerminalSize: Equatable, Sendable {
    /// In characters.
    let columns: Int
    let rows: Int

    static var ofStandardError: TerminalSize {
        var size = winsize()
        // SAFETY: TIOCGWINSZ writes one winsize.
        let result = unsafe withUnsafeMutablePointer(to: &size) { unsafe clinux_ioctl_pointer(STDERR_FILENO, CLINUX_TIOCGWINSZ, $0) }
        guard result == 0, size.ws_col > 0, size.ws_row > 0 else { return TerminalSize(columns: 80, rows: 24) }
        return TerminalSize(columns: Int(size.ws_col), rows: Int(size.ws_row))
    }
}

enum Bars {
    /// The widest bar, in characters.
    private static let longestBar = 50

    static func lines(_ items: [TransferProgress.Item], _ words: ProgressWords, columns: Int, rows: Int) -> [String] {
        // The last column stays free: some terminals wrap as soon as it is used. The last row holds the cursor.
        let width = max(columns - 1, 10)
        let room = max(rows - 1, 2)
        if items.count <= room { return items.map { line($0, words, width) } }
        let shown = items.filter { !$0.isDone && $0.stage != .waiting }.prefix(room - 1)
        return [cut(summary(items), width)] + shown.map { line($0, words, width) }
    }

    private static func summary(_ items: [TransferProgress.Item]) -> String {
        let done = items.count { $0.isDone }
        let moved = items.reduce(0.0) { $0 + Double($1.stage == .present ? $1.size : $1.moved) }
        let total = items.reduce(0.0) { $0 + Double($1.size) }
        return "\(done) of \(items.count) layers, \(megabytes(moved))/\(megabytes(total))"
    }

    private static func line(_ item: TransferProgress.Item, _ words: ProgressWords, _ width: Int) -> String {
        switch item.stage {
        case .waiting: return cut("\(item.name): Waiting", width)
        case .retrying, .complete, .present: return cut("\(item.name): \(words.of(item.stage) ?? "")", width)
        case .moving:
            let left = "\(item.name): \(words.moving) "
            let right = " \(megabytes(Double(item.moved)))/\(megabytes(Double(item.size)))"
            let length = min(width - left.utf8.count - right.utf8.count - 2, longestBar)
            guard length >= 5 else { return cut("\(item.name):\(right)", width) }
            let share = item.size == 0 ? 1 : min(1, Double(item.moved) / Double(item.size))
            let filled = Int(share * Double(length))
            let bar = String(repeating: "=", count: max(filled - 1, 0)) + (filled > 0 ? ">" : "")
            return left + "[" + bar + String(repeating: " ", count: length - filled) + "]" + right
        }
    }

    private static func cut(_ text: String, _ width: Int) -> String { String(text.prefix(width)) }

    /// Decimal units with one digit behind the point, as Docker counts.
    static func megabytes(_ bytes: Double) -> String {
        var value = bytes
        for unit in ["B", "kB", "MB", "GB", "TB"] {
            if value < 999.95 || unit == "TB" {
                if unit == "B" { return "\(Int(value))B" }
                let tenths = Int((value * 10).rounded())
                return "\(tenths / 10).\(tenths % 10)\(unit)"
            }
            value /= 1000
        }
        return ""
    }
}
