// A copy of a tree of the container's into a file system that covers it (the option tmpcopyup of runc's).
internal import CGuest
internal import GuestSystem

enum CopyUp {
    /// Everything below `source` to `target`, both directories: files, owners and modes; no extended attributes, and hard links become files of their own.
    static func copy(below source: CPath, to target: CPath) throws(SystemError) {
        // An explicit list instead of recursion: an image chooses how deep its directories are.
        var pending = [(source, target)]
        while let (from, to) = pending.popLast() {
            for name in try FileSystem.names(in: from) {
                let (original, copy) = (CPath(from.bytes + [0x2F] + name), CPath(to.bytes + [0x2F] + name))
                let status = try FileStatus(of: original, followingLinks: false)
                if status.isSymbolicLink {
                    try FileSystem.makeSymbolicLink(copy, to: CPath(try FileSystem.target(ofLink: original)))
                    try FileSystem.changeOwner(copy, user: status.user, group: status.group)
                    continue
                }
                if status.isDirectory {
                    try FileSystem.makeDirectory(copy, mode: 0o700)
                    pending.append((original, copy))
                } else if status.isRegular {
                    try copyBytes(original, to: copy)
                } else {
                    try FileSystem.makeNode(copy, mode: status.mode, major: status.node.major, minor: status.node.minor)
                }
                try FileSystem.changeOwner(copy, user: status.user, group: status.group)
                try FileSystem.changeMode(copy, status.mode & 0o7777)
            }
        }
    }

    private static func copyBytes(_ source: CPath, to target: CPath) throws(SystemError) {
        let original = try OwnedDescriptor.open(source, O_RDONLY | O_NOFOLLOW)
        let copy = try OwnedDescriptor.open(target, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = try InputOutput.read(original.raw, into: &chunk, count: chunk.count)
            if count == 0 { return }
            var written = 0
            while written < count { written += try InputOutput.write(copy.raw, chunk, written..<count) }
        }
    }
}
