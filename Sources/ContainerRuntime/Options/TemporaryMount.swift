// --tmpfs DIR[:OPTIONS] with Docker's defaults and Docker's list of options.
import AgentProtocol
import Wire

enum TemporaryMount {
    /// What Docker mounts with unless the user says otherwise.
    private static let defaults = ["noexec", "nosuid", "nodev"]
    /// Flags that exclude each other: the later one wins.
    private static let opposites = [
        "exec": "noexec", "suid": "nosuid", "dev": "nodev", "rw": "ro", "async": "sync", "atime": "noatime", "diratime": "nodiratime",
    ]
    private static let otherFlags: Set<String> = ["relatime", "norelatime", "strictatime", "nostrictatime"]
    private static let settings: Set<String> = ["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"]

    static func parse(_ text: Text, or wrong: (String) -> ContainerError) throws(ContainerError) -> MountSpec {
        let path = text.bytes.prefix { $0 != UInt8(ascii: ":") }
        let given = text.bytes.dropFirst(path.count + 1)
        guard path.first == UInt8(ascii: "/"), path.contains(where: { $0 != UInt8(ascii: "/") }) else {
            throw wrong("it must be an absolute path below /")
        }
        var options = defaults
        for part in given.split(separator: UInt8(ascii: ",")) {
            let option = String(decoding: part, as: UTF8.self)
            let name = String(decoding: part.prefix { $0 != UInt8(ascii: "=") }, as: UTF8.self)
            let isFlag = opposites[option] != nil || opposites.values.contains(option) || otherFlags.contains(option)
            guard isFlag || (settings.contains(name) && part.count > name.utf8.count + 1) else {
                throw wrong("tmpfs has no option \"\(option)\": use flags such as exec or ro, or size=, mode=, uid=, gid=, nr_inodes=")
            }
            options.removeAll { $0 == option || opposites[$0] == option || $0 == opposites[option] }
            options.append(option)
        }
        // The path's bytes come from a Text and hold no NUL.
        let (flags, data) = MountFlags.parse(options)
        return MountSpec("tmpfs", on: Text(bytes: Array(path)) ?? "/", flags, data)
    }
}
