// Options of mounts as mount(8) writes them.
import AgentProtocol
import Wire

extension MountFlags {
    /// What each word sets or clears.
    private static let words: [String: (flags: MountFlags, sets: Bool)] = [
        "ro": (.readOnly, true), "rw": (.readOnly, false), "nosuid": (.noSetID, true), "suid": (.noSetID, false),
        "nodev": (.noDevices, true), "dev": (.noDevices, false), "noexec": (.noExecution, true), "exec": (.noExecution, false),
        "sync": (.synchronous, true), "async": (.synchronous, false), "dirsync": (.synchronousDirectories, true),
        "noatime": (.noAccessTime, true), "atime": (.noAccessTime, false), "nodiratime": (.noDirectoryAccessTime, true),
        "diratime": (.noDirectoryAccessTime, false), "relatime": (.relativeAccessTime, true), "norelatime": (.relativeAccessTime, false),
        "strictatime": (.strictAccessTime, true), "nostrictatime": (.strictAccessTime, false), "bind": (.bind, true),
        "rbind": ([.bind, .recursive], true), "defaults": ([], true),
    ]

    /// How mounts pass between namespaces (mount_namespaces(7)).
    private static let propagations: [String: MountFlags] = [
        "private": .private, "rprivate": [.private, .recursive], "slave": .slave, "rslave": [.slave, .recursive], "shared": .shared,
        "rshared": [.shared, .recursive], "unbindable": .unbindable, "runbindable": [.unbindable, .recursive],
    ]

    /// Nil for another word.
    static func propagation(_ word: String) -> MountFlags? { propagations[word] }

    /// What is no flag goes to the file system as it is.
    static func parse(_ options: [String]) -> (flags: MountFlags, data: Text) {
        var flags: MountFlags = []
        var data: [String] = []
        for option in options where propagations[option] == nil {
            guard let word = words[option] else {
                data.append(option)
                continue
            }
            if word.sets { flags.formUnion(word.flags) } else { flags.subtract(word.flags) }
        }
        return (flags, Text(data.joined(separator: ",")))
    }
}
