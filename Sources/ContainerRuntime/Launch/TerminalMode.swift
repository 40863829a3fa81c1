// The mode of the user's terminal (termios(3)): made raw by the VMM, or by the process of an exec.
import AgentProtocol
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

    func makeRaw() {
        var mode = mode
        // SAFETY: plain termios calls on a local value.
        unsafe cfmakeraw(&mode)
        unsafe tcsetattr(STDIN_FILENO, TCSANOW, &mode)
    }

    /// Nil if `descriptor` is no terminal or has no size.
    static func size(of descriptor: Int32) -> WindowSize? {
        var size = winsize()
        // SAFETY: TIOCGWINSZ fills one winsize.
        let result = unsafe withUnsafeMutablePointer(to: &size) { unsafe clinux_ioctl_pointer(descriptor, CLINUX_TIOCGWINSZ, $0) }
        guard result == 0, size.ws_row > 0, size.ws_col > 0 else { return nil }
        return WindowSize(rows: size.ws_row, columns: size.ws_col)
    }

    func restore() {
        var mode = mode
        // SAFETY: tcsetattr reads one termios. TCSADRAIN: what the container wrote last is shown first.
        unsafe tcsetattr(STDIN_FILENO, TCSADRAIN, &mode)
    }
}
