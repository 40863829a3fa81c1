// Which file a command is: looked up as execvp(3) would, in the container, with Docker's words for failures.
internal import AgentProtocol
internal import FirstProcess
internal import GuestSystem
internal import Unpacker

enum Command {
    static let defaultPath: StaticString = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// The file to execute for `name`.
    static func find(_ name: [UInt8], environment: [[UInt8]]) throws(Failure) -> CPath {
        if name.contains(0x2F) {
            let path = CPath(name)
            do throws(SystemError) {
                try check(path)
                return path
            } catch {
                if error == .notFound || error == .notDirectory {
                    throw Failure(.notFound, "exec: \"\(name: name)\": stat \(name: name): no such file or directory")
                }
                throw failure(name, error)
            }
        }
        for directory in fields(of: searchPath(environment)[...], separatedBy: 0x3A) {
            // An empty element is the working directory.
            let path = CPath((directory.isEmpty ? [0x2E] : directory) + [0x2F] + name)
            if name.isEmpty { break }
            if (try? check(path)) != nil { return path }
        }
        throw Failure(.notFound, "exec: \"\(name: name)\": executable file not found in $PATH")
    }

    private static func searchPath(_ environment: [[UInt8]]) -> [UInt8] {
        let key: StaticString = "PATH="
        for variable in environment where variable.starts(with: Array(key)) { return Array(variable.dropFirst(5)) }
        return Array(defaultPath)
    }

    private static func check(_ path: CPath) throws(SystemError) {
        let status = try FileStatus(of: path, followingLinks: true)
        if status.isDirectory { throw .isDirectory }
        if status.mode & 0o111 == 0 { throw .accessDenied }
    }

    /// Why execve(2) or the look before it failed.
    static func failure(_ name: [UInt8], _ error: SystemError) -> Failure {
        switch error {
        case .accessDenied: Failure(.notExecutable, "exec: \"\(name: name)\": permission denied")
        case .isDirectory: Failure(.notExecutable, "exec: \"\(name: name)\": is a directory")
        case .noExecutable: Failure(.notExecutable, "exec \(name: name): exec format error")
        case .notFound:
            Failure(.notFound, "exec \(name: name): no such file or directory: its interpreter or dynamic loader is missing from the image")
        case .badFilter: Failure(.agent, "the machine's kernel refuses the seccomp filter")
        default: Failure(.notExecutable, "exec \(name: name): \(error)")
        }
    }
}
