// How far a transfer of layers has come: written by the threads that transfer, shown as lines or as bars on standard error.
import Glibc
import LinuxSystem
public import OCI
import Synchronization

/// What is said of each layer.
public struct ProgressWords: Sendable {
    let begun: String
    let moving: String
    let complete: String
    let present: String

    /// Docker's.
    public static let pull = ProgressWords(begun: "Pulling fs layer", moving: "Downloading", complete: "Pull complete", present: "Already exists")
    public static let load = ProgressWords(begun: "Loading layer", moving: "Loading layer", complete: "Load complete", present: "Already exists")
    public static let save = ProgressWords(begun: "Saving layer", moving: "Saving layer", complete: "Save complete", present: "Already exists")
}

public final class TransferProgress: Sendable {
    public enum Display: Sendable {
        case none
        /// A line for each change.
        case lines
        /// Bars, drawn again and again.
        case bars

        /// What standard error is good for; `terminal` is the environment's TERM.
        public static func onStandardError(isQuiet: Bool, terminal: String?) -> Display {
            if isQuiet { return .none }
            return isatty(STDERR_FILENO) == 1 && terminal != "dumb" ? .bars : .lines
        }
    }

    struct Item: Equatable, Sendable {
        enum Stage: Equatable, Sendable {
            case waiting
            case moving
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
        var moved: UInt64 = 0
        var stage = Stage.waiting

        var isDone: Bool { stage == .complete || stage == .present }
    }

    private struct State {
        var items: [Item] = []
        /// Lines of bars on the screen, below which the cursor is.
        var linesDrawn = 0
        /// CLOCK_MONOTONIC in nanoseconds.
        var lastDrawn: UInt64 = 0
    }

    /// In milliseconds.
    public static let redrawInterval: Int32 = 100

    private let display: Display
    private let words: ProgressWords
    private let state = Mutex(State())

    public init(_ display: Display, _ words: ProgressWords) {
        self.display = display
        self.words = words
    }

    /// A line that stays. The caller has made it printable.
    public func note(_ line: String) {
        if display == .none { return }
        state.withLock { state in
            erase(&state)
            printError(line)
        }
    }

    /// Layers that are to be transferred; sizes in bytes. What was shown before stays as it is.
    public func begin(_ layers: [(digest: Digest, size: UInt64)]) {
        draw()
        state.withLock { state in
            state.items = layers.map { Item(name: String($0.digest.hexadecimal.prefix(12)), size: $0.size) }
            state.linesDrawn = 0
            if display == .lines { state.items.forEach { printError("\($0.name): \(words.begun)") } }
        }
    }

    /// So many bytes of a layer altogether.
    public func moved(_ index: Int, _ bytes: UInt64) {
        state.withLock { state in
            state.items[index].moved = bytes
            state.items[index].stage = .moving
        }
    }

    public func retries(_ index: Int, in seconds: Int) { change(index, to: .retrying(seconds)) }

    /// `isNew`: it was not there before.
    public func finish(_ index: Int, isNew: Bool) { change(index, to: isNew ? .complete : .present) }

    private func change(_ index: Int, to stage: Item.Stage) {
        state.withLock { state in
            state.items[index].stage = stage
            if stage == .complete { state.items[index].moved = state.items[index].size }
            if display == .lines, let words = words.of(stage) { printError("\(state.items[index].name): \(words)") }
        }
    }

    // MARK: Bars

    /// Draws the bars anew, where there are any.
    public func draw() {
        guard display == .bars else { return }
        state.withLock { state in draw(&state) }
    }

    /// The same, but not more often than a person can see: for who has no thread to spare.
    public func drawInTime() {
        guard display == .bars else { return }
        state.withLock { state in
            if monotonicNanoseconds() - state.lastDrawn >= UInt64(Self.redrawInterval) * 1_000_000 { draw(&state) }
        }
    }

    private func draw(_ state: inout State) {
        if state.items.isEmpty { return }
        let size = TerminalSize.ofStandardError
        let lines = Bars.lines(state.items, words, columns: size.columns, rows: size.rows)
        var text = state.linesDrawn > 0 ? "\r\u{1B}[\(state.linesDrawn)A" : ""
        for line in lines { text += "\r" + line + "\u{1B}[K\n" }
        // A window that shrank shows fewer lines now.
        text += "\u{1B}[J"
        state.linesDrawn = lines.count
        state.lastDrawn = monotonicNanoseconds()
        // One write, so that nothing comes in between; a terminal that is gone is no failure of ours.
        try? writeAll(2, Array(text.utf8))
    }

    /// The cursor back to where the bars began.
    private func erase(_ state: inout State) {
        guard state.linesDrawn > 0 else { return }
        try? writeAll(2, Array("\r\u{1B}[\(state.linesDrawn)A\u{1B}[J".utf8))
        state.linesDrawn = 0
    }
}

extension ProgressWords {
    /// Nil where there is nothing new to say.
    func of(_ stage: TransferProgress.Item.Stage) -> String? {
        switch stage {
        case .waiting, .moving: nil
        case .retrying(let seconds): "Retrying in \(seconds) second\(seconds == 1 ? "" : "s")"
        case .complete: complete
        case .present: present
        }
    }
}
