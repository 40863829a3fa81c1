// Names of running containers: abstract Unix sockets. The kernel frees them with their last descriptor, so even SIGKILL leaves no name taken.
import CLinux
import Glibc
public import LinuxSystem
public import Wire

public enum ContainerName {
    /// With the prefix it must fit into sockaddr_un.
    public static let lengthLimit = 64

    /// Reserves `name` for this user as long as the descriptor, or a copy of it, is open. Close-on-exec until the launch.
    public static func reserve(_ name: Text) throws(ContainerError) -> OwnedDescriptor {
        do throws(SystemError) {
            let raw = try systemCall("socket") { socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0) }
            let descriptor = OwnedDescriptor(owning: raw)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            let path = [0] + Array("swiftlet/\(getuid())/name/".utf8) + name.bytes
            // SAFETY: the path is shorter than sun_path (the prefix has at most 25 bytes, a name at most lengthLimit).
            unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path.prefix($0.count)) }
            let length = socklen_t(MemoryLayout<sa_family_t>.size + path.count)
            // SAFETY: bind reads `length` bytes of the address, which lie within sockaddr_un.
            try systemCall("bind") {
                unsafe withUnsafePointer(to: &address) {
                    unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe bind(descriptor.raw, $0, length) }
                }
            }
            return descriptor
        } catch {
            if error.errno == EADDRINUSE { throw .nameInUse(name.string) }
            throw .system(what: "the name \"\(name.string)\" cannot be reserved", error)
        }
    }
}
