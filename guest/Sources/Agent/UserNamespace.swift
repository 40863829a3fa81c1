// The users and groups of a container's user namespace (user_namespaces(7)), which only a process outside of it can write.
internal import AgentProtocol
internal import CGuest
internal import FirstProcess
internal import GuestSystem

enum UserNamespace {
    /// The agent has no other use for proc(5).
    static func prepare() throws(Failure) {
        do throws(SystemError) {
            try FileSystem.makeDirectory("/proc", mode: 0o555)
            try FileSystem.mount("proc", on: "/proc", type: "proc")
        } catch { if error != .exists { throw Failure(.agent, "proc(5) can't be mounted: \(error)") } }
    }

    static func write(_ identities: IdentityMap, of process: Int32) throws(Failure) {
        try write(identities.users, to: "/proc/\(Int(process))/uid_map", "users")
        try write(identities.groups, to: "/proc/\(Int(process))/gid_map", "groups")
    }

    /// One with these users and nobody in it.
    static func make(_ identities: IdentityMap) throws(Failure) -> Int32 {
        let child: Int32
        do { child = try Processes.fork(into: [.user]) } catch { throw Failure(.agent, "a user namespace can't be made: \(error)") }
        if child == 0 { Processes.waitForEver() }
        // Reaped like any other.
        defer { try? Processes.signal(child, 9) }
        try write(identities, of: child)
        do { return try OwnedDescriptor.open("/proc/\(Int(child))/ns/user", O_RDONLY).release() } catch {
            throw Failure(.agent, "a user namespace can't be held: \(error)")
        }
    }

    /// At once, as the kernel wants it.
    private static func write(_ ranges: [IdentityRange], to path: CPath, _ what: StaticString) throws(Failure) {
        var text: [UInt8] = []
        for range in ranges { text += ("\(Int(range.inside)) \(Int(range.outside)) \(Int(range.count))\n" as Sentence).bytes }
        do throws(SystemError) {
            let file = try OwnedDescriptor.open(path, O_WRONLY)
            try InputOutput.writeAll(file.raw, text)
        } catch { throw Failure(.configuration, "the \(what) of the container's user namespace can't be set: \(error)") }
    }
}
