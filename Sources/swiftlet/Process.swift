// This process's surroundings as bytes: arguments and environment need not be UTF-8.
import CLinux
import ContainerRuntime
import Glibc
import LinuxSystem
import Wire

enum Process {
    /// Without the program's name.
    static var arguments: [Text] {
        // SAFETY: argv holds argc strings that live as long as the process.
        (1..<max(1, Int(CommandLine.argc))).compactMap { unsafe text(CommandLine.unsafeArgv[$0]) }
    }

    static var environment: [Text] {
        var entries: [Text] = []
        // SAFETY: environ is a NULL-terminated vector of strings; nothing in this process changes it.
        guard var next = unsafe clinux_environment() else { return [] }
        while let entry = unsafe text(next.pointee) {
            entries.append(entry)
            unsafe next += 1
        }
        return entries
    }

    private static func text(_ pointer: UnsafeMutablePointer<CChar>?) -> Text? {
        guard let pointer = unsafe pointer else { return nil }
        // SAFETY: the string ends with a NUL and stays unchanged while it is copied.
        return unsafe Text(bytes: Array(UnsafeRawBufferPointer(start: pointer, count: strlen(pointer))))
    }

    /// A caller may have closed 0, 1 or 2. The next file opened would take the number, and the container's output would be written into it.
    static func openMissingStandardDescriptors() {
        for descriptor in STDIN_FILENO...STDERR_FILENO where clinux_fcntl(descriptor, F_GETFD, 0) < 0 {
            // SAFETY: plain libc call; it takes the lowest free number, which is this one.
            _ = unsafe clinux_open("/dev/null", O_RDWR, 0)
        }
    }

    static func print(_ text: String) {
        // A reader that has gone is no failure of ours.
        try? writeAll(STDOUT_FILENO, Array(text.utf8))
    }

    /// One line on standard error, and a hint after a mistake on the command line.
    static func report(_ error: ContainerError) {
        if error == .reported { return }
        printError("swiftlet: " + error.description.printable)
        if case .usage(_, let command) = error { printError("See '\(command) --help'.") }
    }
}
