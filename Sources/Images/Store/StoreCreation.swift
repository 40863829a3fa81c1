// Where the store is, and making an empty one.
import Glibc
import LinuxSystem

public enum StoreLocation {
    /// SWIFTLET_STORE, or /var/lib/swiftlet for root, or swiftlet in XDG_DATA_HOME or ~/.local/share. `variable` looks into the environment.
    public static func directory(isRoot: Bool, variable: (StaticString) -> [UInt8]?) throws(StoreError) -> [UInt8] {
        if let directory = variable("SWIFTLET_STORE"), !directory.isEmpty { return directory }
        if isRoot { return Array("/var/lib/swiftlet".utf8) }
        // Relative paths don't count, says the XDG base directory specification.
        if let data = variable("XDG_DATA_HOME"), data.first == UInt8(ascii: "/") { return data + Array("/swiftlet".utf8) }
        if let home = variable("HOME"), !home.isEmpty { return home + Array("/.local/share/swiftlet".utf8) }
        throw .noPlace
    }
}

enum StoreCreation {
    /// The first thing made: a directory that has it may be completed.
    private static let first = "index.lock"
    /// Made by mkfs.
    private static let tolerated = "lost+found"

    /// Makes what is missing. Several processes may do so at once, and each may be killed: `lock`, made last, says that all is there.
    static func create(_ directory: [UInt8]) throws(StoreError) {
        let path = String(decoding: directory, as: UTF8.self)
        var name = path
        do throws(SystemError) {
            try makeDirectories(directory)
            let root = try OwnedDescriptor.open(path: directory, O_RDONLY | O_DIRECTORY)
            let names = try root.names(limit: 64).map { String(decoding: $0, as: UTF8.self) }
            let isEmpty = names.allSatisfy { $0 == tolerated }
            // Asked for after the list was read: another process may be making all of this at the same time.
            let isOurs = isEmpty ? true : try root.status(ofChild: first) != nil
            guard isOurs else { throw SystemError(call: "", errno: EEXIST) }

            name = path + "/" + first
            let indexLock = try root.open(child: first, O_RDWR | O_CREAT, mode: 0o600)
            try indexLock.lock(.exclusive)
            for child in ["blobs", "ingest", "disks"] {
                name = path + "/" + child
                try root.makeDirectory(child: child, mode: 0o700)
            }
            name = path + "/blobs/sha256"
            try root.open(child: "blobs", O_RDONLY | O_DIRECTORY).makeDirectory(child: "sha256", mode: 0o700)
            for (child, text) in [
                ("index.json", #"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#),
                ("oci-layout", #"{"imageLayoutVersion":"1.0.0"}"#),
            ] {
                name = path + "/" + child
                if try root.status(ofChild: child) == nil { try root.replace(child: child, with: Array(text.utf8)) }
            }
            name = path + "/lock"
            _ = try root.open(child: "lock", O_RDWR | O_CREAT, mode: 0o600)
            try root.synchronize()
        } catch {
            switch error.errno {
            case EEXIST, ENOTDIR: throw .notAStore(path: path)
            case ENOSPC, EDQUOT: throw .noSpace(path: path)
            default: throw .system(path: name, error)
            }
        }
    }

    /// mkdir -p; the last one is its owner's alone.
    private static func makeDirectories(_ path: [UInt8]) throws(SystemError) {
        do throws(SystemError) {
            try OwnedDescriptor.makeDirectory(path: path, mode: 0o700)
        } catch {
            guard error.errno == ENOENT, let slash = path.lastIndex(of: UInt8(ascii: "/")), slash > 0 else { throw error }
            try makeDirectories(Array(path[..<slash]))
            try OwnedDescriptor.makeDirectory(path: path, mode: 0o700)
        }
    }
}

extension OwnedDescriptor {
    /// Writes a file of this directory under another name first, so that it is never seen in part. One caller at a time.
    borrowing func replace(child name: String, with bytes: [UInt8]) throws(SystemError) {
        let temporary = name + ".new"
        do throws(SystemError) {
            let file = try open(child: temporary, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
            try writeAll(file.raw, bytes)
            try file.synchronize()
            try rename(child: temporary, to: name, in: self)
            try synchronize()
        } catch {
            _ = try? remove(child: temporary)
            throw error
        }
    }
}
