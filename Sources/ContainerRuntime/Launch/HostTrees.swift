// The host's directories and files that a container sees, opened with the rights of whoever asks for them.
import CLinux
import Glibc
import Images
import LinuxSystem
import Wire

enum HostTrees {
    /// Follows links, as everybody does who names a file of their own. `origin`: where they are named, for errors.
    static func open(_ mounts: inout [BindMount], named origin: String = "-v or --mount") throws(ContainerError) -> [OpenFile] {
        var files: [OpenFile] = []
        for index in mounts.indices { files.append(try open(&mounts[index], origin)) }
        return files
    }

    private static func open(_ mount: inout BindMount, _ origin: String) throws(ContainerError) -> OpenFile {
        do throws(SystemError) {
            let descriptor: OwnedDescriptor
            do throws(SystemError) { descriptor = try OwnedDescriptor.open(path: mount.source.bytes, CLINUX_O_PATH) } catch {
                guard error.errno == ENOENT, mount.makesSource else { throw error }
                try makeDirectories(mount.source.bytes)
                descriptor = try OwnedDescriptor.open(path: mount.source.bytes, CLINUX_O_PATH)
            }
            let status = try descriptor.status()
            guard status.kind == .directory || status.kind == .regular else {
                throw SystemError(call: "open", subject: mount.source.string, errno: ENOTSUP)
            }
            mount.isFile = status.kind == .regular
            return OpenFile(owning: descriptor, size: status.size)
        } catch { throw .hostTree(path: mount.source.string, error, origin: origin) }
    }

    /// As `docker run -v` does: what is missing becomes a directory.
    private static func makeDirectories(_ path: [UInt8]) throws(SystemError) {
        for end in path.indices.dropFirst() where path[end] == UInt8(ascii: "/") {
            try OwnedDescriptor.makeDirectory(path: Array(path[..<end]), mode: 0o755)
        }
        try OwnedDescriptor.makeDirectory(path: path, mode: 0o755)
    }
}
