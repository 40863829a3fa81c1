// Removing whole trees.
internal import GuestSystem

enum Tree {
    /// Removes whatever `path` names, itself and everything below, without following links.
    static func remove(_ path: CPath) throws(SystemError) {
        do { try FileSystem.remove(path) } catch {
            guard error == .isDirectory || error == .notPermitted else { throw error }
            // An explicit list instead of recursion: an image chooses how deep its directories are.
            var pending = [path]
            while let directory = pending.last {
                var subdirectories: [CPath] = []
                for name in try FileSystem.names(in: directory) {
                    let child = CPath(directory.bytes + [0x2F] + name)
                    do { try FileSystem.remove(child) } catch {
                        guard error == .isDirectory || error == .notPermitted else { throw error }
                        subdirectories.append(child)
                    }
                }
                if subdirectories.isEmpty {
                    try FileSystem.removeDirectory(directory)
                    pending.removeLast()
                } else {
                    pending += subdirectories
                }
            }
        }
    }
}
