// The mode of the user's terminal (termios(3)): the VMM makes it raw.
import CLinux
import Glibc

/// Standard input's mode as it was.
struct TerminalMode {
    private let mode: termios

    /// Nil if standard input is no terminal.
    init?() {
        var mode = termios()
        // SAFETY: tcgetattr fills one termios.
        guard unsafe tcgetattr(STDIN_FILENO, &mode) == 0 else { return nil }
        self.mode = mode
    }

    func restore() {
        var mode = mode
        // SAFETY: tcsetattr reads one termios. TCSADRAIN: what the container wrote last is shown first.
        unsafe tcsetattr(STDIN_FILENO, TCSADRAIN, &mode)
    }
}
