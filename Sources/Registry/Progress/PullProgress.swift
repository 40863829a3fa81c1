// How far a pull has come: written by the threads that transfer, shown as lines or as bars on standard error.
import LinuxSystem
import OCI
import Synchronization

public final class PullProgress: Sendable {
    public enum Display: Sendable {
        case none
        /// A line for each change.
        case lines
        /// Bars, drawn again and again.
        case bars
    }

    struct Item: Equatable, Sendable {
        enum Stage: Equatable, Sendable {
            case waiting
            case downloading
            /// In seconds.
            case retrying(Int)
            case complete
            case present
        }

        /// Twelve digits of the digest, as Docker shows them.
        let name: String
        /// In bytes.
        let size: UInt64
        /// In bytes.
        var received: UInt64 = 0
        var stage = Stage.waiting

        var isDone: Bool { stage == .complete || stage == .present }
    }

    private struct State {
        var items: [Item] = []
        /// Lines of bars on the screen, below which the cursor is.
        var drawn = 0
    }

    private let display: Display
    private let state = Mutex(State())

    public init(_ display: Display) { self.display = display }

    /// A line that stays.
    func note(_ line: String) {
        if display == .none { return }
        state.withLock { state in
            erase(&state)
            printError(printable(line))
        }
    }

    func begin(_ descriptors: [Descriptor]) {
        state.withLock { state in
            state.items = descriptors.map { Item(name: String($0.digest.hexadecimal.prefix(12)), size: $0.size) }
            if display == .lines { state.items.forEach { printError("\($0.name): Pulling fs layer") } }
        }
    }

    func received(_ index: Int, _ bytes: UInt64) {
        state.withLock { state in
            state.items[index].received = bytes
            state.items[index].stage = .downloading
        }
    }

    func change(_ index: Int, to stage: Item.Stage) {
        state.withLock { state in
            state.items[index].stage = stage
            if stage == .complete { state.items[index].received = state.items[index].size }
            if display == .lines, let words = Self.words(stage) { printError("\(state.items[index].name): \(words)") }
        }
    }

    private static func words(_ stage: Item.Stage) -> String? {
        switch stage {
        case .waiting, .downloading: nil
        case .retrying(let seconds): "Retrying in \(seconds) second\(seconds == 1 ? "" : "s")"
        case .complete: "Pull complete"
        case .present: "Already exists"
        }
    }

    // MARK: Bars

    /// Draws the bars anew, where there are any.
    func draw() {
        guard display == .bars else { return }
        state.withLock { state in
            if state.items.isEmpty { return }
            let size = TerminalSize.ofStandardError
            let lines = Bars.lines(state.items, columns: size.columns, rows: size.rows)
            var text = state.drawn > 0 ? "\r\u{1B}[\(state.drawn)A" : ""
            for line in lines { text += "\r" + line + "\u{1B}[K\n" }
            // A window that shrank shows fewer lines now.
            text += "\u{1B}[J"
            state.drawn = lines.count
            // One write, so that nothing comes in between; a terminal that is gone is no failure of ours.
            try? writeAll(2, Array(text.utf8))
        }
    }

    /// The cursor back to where the bars began.
    private func erase(_ state: inout State) {
        guard state.drawn > 0 else { return }
        try? writeAll(2, Array("\r\u{1B}[\(state.drawn)A\u{1B}[J".utf8))
        state.drawn = 0
    }
}
