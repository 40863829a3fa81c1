// The user's terminal (termios(3), ioctl_tty(2)).
import AgentProtocol
import CLinux
import Glibc
import LinuxSystem

/// Raw mode on a terminal while the container owns it; the old mode comes back with `restore`.
struct Terminal {
    private let descriptor: Int32
    private var saved: termios

    /// Nil if `descriptor` is no terminal.
    init?(_ descriptor: Int32) {
        var mode = termios()
        // SAFETY: tcgetattr fills one termios.
        guard unsafe tcgetattr(descriptor, &mode) == 0 else { return nil }
        self.descriptor = descriptor
        saved = mode
    }

    func makeRaw() {
        var mode = saved
        // SAFETY: plain termios calls on local values.
        unsafe cfmakeraw(&mode)
        unsafe tcsetattr(descriptor, TCSANOW, &mode)
    }

    func restore() {
        var mode = saved
        // SAFETY: as above. TCSADRAIN: what the container wrote last is shown first.
        unsafe tcsetattr(descriptor, TCSADRAIN, &mode)
    }

    /// Nil if `descriptor` is no terminal or has no size.
    static func size(of descriptor: Int32) -> WindowSize? {
        var size = winsize()
        // SAFETY: TIOCGWINSZ fills one winsize.
        let result = unsafe withUnsafeMutablePointer(to: &size) { unsafe clinux_ioctl_pointer(descriptor, CLINUX_TIOCGWINSZ, $0) }
        guard result == 0, size.ws_row > 0, size.ws_col > 0 else { return nil }
        return WindowSize(rows: size.ws_row, columns: size.ws_col)
    }
}
