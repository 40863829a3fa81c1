// A file that appears whole or not at all.
import CLinux
import Glibc
import LinuxSystem
import Wire

enum OutputFile {
    /// Lets `body` write a file that has no name yet, then calls it `path`. What isn't a regular file, such as a pipe, is written as it is.
    static func write(_ path: Text, _ body: (Int32) throws(ContainerError) -> Void) throws(ContainerError) {
        let slash = path.bytes.lastIndex(of: UInt8(ascii: "/"))
        let directory = slash.map { Array(path.bytes[...$0]) } ?? Array("./".utf8)
        let temporary = directory + Array(".swiftlet-\(getpid()).tmp".utf8)
        var isNamed = false
        do throws(ContainerError) {
            let file = try attempt(path) { () throws(SystemError) in
                if let special = try openSpecial(path) { return special }
                do throws(SystemError) {
                    return try OwnedDescriptor.open(path: directory, O_RDWR | CLINUX_O_TMPFILE, mode: 0o600)
                } catch {
                    // Not every file system knows O_TMPFILE.
                    guard error.errno == EOPNOTSUPP || error.errno == EISDIR else { throw error }
                    let file = try OwnedDescriptor.open(path: temporary, O_RDWR | O_CREAT | O_EXCL, mode: 0o600)
                    isNamed = true
                    return file
                }
            }
            try body(file.raw)
            try attempt(path) { () throws(SystemError) in
                guard try file.status().kind == .regular else { return }
                try file.synchronize()
                if !isNamed { try file.link(to: temporary) }
                isNamed = true
                try OwnedDescriptor.rename(path: temporary, to: path.bytes)
            }
        } catch {
            if isNamed { try? OwnedDescriptor.remove(path: temporary) }
            throw error
        }
    }

    private static func openSpecial(_ path: Text) throws(SystemError) -> OwnedDescriptor? {
        guard let existing = try? OwnedDescriptor.open(path: path.bytes, CLINUX_O_PATH) else { return nil }
        switch try existing.status().kind {
        case .regular: return nil
        case .directory: throw SystemError(call: "open", errno: EISDIR)
        default: return try OwnedDescriptor.open(path: path.bytes, O_WRONLY)
        }
    }

    private static func attempt<Value: ~Copyable>(
        _ path: Text, _ body: () throws(SystemError) -> Value
    ) throws(ContainerError) -> Value {
        do throws(SystemError) { return try body() } catch { throw .output(path: path.string, error) }
    }
}
