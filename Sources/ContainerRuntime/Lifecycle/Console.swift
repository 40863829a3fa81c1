// A terminal whose one side is a container's and whose other side goes to the engine (runc's docs/terminals.md): over the socket that --console-socket names.
import CLinux
import Glibc
import LinuxSystem
import OCI
import Wire

final class Console {
    private let master: OwnedDescriptor
    /// What the container's process has as its standard streams.
    let user: OwnedDescriptor
    private let name: String

    init(size: RuntimeSpecification.ConsoleSize?) throws(ContainerError) {
        do throws(SystemError) {
            master = try OwnedDescriptor.open("/dev/ptmx", O_RDWR | O_NOCTTY)
            let raw = master.raw
            var (unlocked, number): (Int32, UInt32) = (0, 0)
            // SAFETY: the calls read and write one number each (ioctl_tty(2)).
            try systemCall("ioctl TIOCSPTLCK") { unsafe clinux_ioctl_pointer(raw, CLINUX_TIOCSPTLCK, &unlocked) }
            try systemCall("ioctl TIOCGPTN") { unsafe clinux_ioctl_pointer(raw, CLINUX_TIOCGPTN, &number) }
            // Without a name: /dev/pts may be another one's.
            user = OwnedDescriptor(
                owning: try systemCall("ioctl TIOCGPTPEER") { clinux_ioctl(raw, CLINUX_TIOCGPTPEER, UInt(O_RDWR | O_NOCTTY | O_CLOEXEC)) })
            if let size, size.rows > 0, size.columns > 0 {
                var window = winsize(ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0)
                // SAFETY: the call reads one winsize.
                try systemCall("ioctl TIOCSWINSZ") { unsafe clinux_ioctl_pointer(raw, CLINUX_TIOCSWINSZ, &window) }
            }
            name = "/dev/pts/\(number)"
        } catch { throw .system(what: "a terminal for the container cannot be made", error) }
    }

    /// Hands the engine its side, with the terminal's name.
    func send(to path: Text) throws(ContainerError) {
        do throws(SystemError) {
            let socket = try UnixSocket.connect(to: path.string)
            let (raw, master) = (socket.raw, master.raw)
            let bytes = Array(name.utf8)
            try systemCall("sendmsg") {
                // SAFETY: the call reads as many bytes as the array has.
                unsafe bytes.withUnsafeBytes { unsafe clinux_send_packet(raw, $0.baseAddress, $0.count, master) }
            }
        } catch { throw .system(what: "the terminal cannot be sent to the console socket \(path.string)", error) }
    }
}
