// Where Swiftlet's own files are: PREFIX/bin/swiftlet, PREFIX/bin/swiftlet-vmm, PREFIX/share/swiftlet/….
import CLinux
import Glibc
import Images
import LinuxSystem

public struct Installation: Equatable, Sendable {
    /// The executables' directory.
    let programs: String
    /// The kernel's, the initrd's and the template's directory.
    let data: String

    public init(programs: String) {
        self.programs = programs
        // The prefix is the directory above: /usr/local for /usr/local/bin, empty for /bin.
        data = String(programs.prefix(upTo: programs.lastIndex(of: "/") ?? programs.startIndex)) + "/share/swiftlet"
    }

    /// Found from this process's executable, links resolved.
    public static func current() throws(ContainerError) -> Installation {
        var path = [UInt8](repeating: 0, count: 4096)
        do throws(SystemError) {
            let count = try systemCall("readlink", on: "/proc/self/exe") {
                // SAFETY: the kernel writes at most `count` bytes into the array during the call.
                unsafe path.withUnsafeMutableBytes { buffer in
                    guard let base = buffer.baseAddress else { return 0 }
                    return unsafe readlink("/proc/self/exe", base.assumingMemoryBound(to: CChar.self), buffer.count)
                }
            }
            let directory = path[..<count].lastIndex(of: UInt8(ascii: "/")) ?? 0
            return Installation(programs: String(decoding: path[..<directory], as: UTF8.self))
        } catch { throw .system(what: "Swiftlet cannot find its own files (is /proc mounted?)", error) }
    }

    /// Opens a file of the installation; `what` names it in errors.
    func open(_ what: String, _ path: String) throws(ContainerError) -> OpenFile {
        try OpenFile.open(what, path, remedy: "install Swiftlet again")
    }

    public var vmm: String { programs + "/swiftlet-vmm" }
    /// The server of the host's files.
    var fileServer: String { programs + "/swiftlet-files" }
    /// Of config.toml.
    var configurationReader: String { programs + "/swiftlet-config" }
    public var registryClient: String { programs + "/swiftlet-registry" }
    public var kernel: String { data + "/vmlinux" }
    public var initrd: String { data + "/initrd" }
    /// Of the machines that unpack images (docs/adr/0018).
    public var unpackingInitrd: String { data + "/initrd-unpacking" }
    /// The default seccomp profile, compiled.
    var seccompProfiles: String { data + "/seccomp.profiles" }
    /// The VMM's compiled seccomp filters.
    public var filters: String { data + "/filters" }
    /// The empty file system that images are unpacked onto.
    var diskTemplate: String { data + "/disk.template" }
}

extension OpenFile {
    /// Opens a regular file; `what` names it in errors, `remedy` says what to do.
    static func open(_ what: String, _ path: String, remedy: String) throws(ContainerError) -> OpenFile {
        do throws(SystemError) {
            let descriptor = try OwnedDescriptor.open(path, O_RDONLY | O_NONBLOCK)
            let status = try descriptor.status()
            guard status.kind == .regular else {
                throw SystemError(call: "open", subject: path, errno: status.kind == .directory ? EISDIR : EINVAL)
            }
            return OpenFile(owning: descriptor, size: status.size)
        } catch { throw .file(what: what, error, remedy: remedy) }
    }
}
