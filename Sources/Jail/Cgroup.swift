// The VMM's cgroup (cgroups(7)): version 2, or the controllers of version 1 where they are mounted. It is there before the VMM, which is born into it.
import CLinux
import Glibc
public import LinuxSystem

/// A cgroup for one VMM, with a directory in each hierarchy. Whoever made it removes it when its process is gone.
public final class Cgroup: Sendable {
    /// One directory, of one hierarchy.
    private final class Place: Sendable {
        let parent: OwnedDescriptor
        let directory: OwnedDescriptor
        let path: String

        init(parent: consuming OwnedDescriptor, directory: consuming OwnedDescriptor, path: String) {
            self.parent = parent
            self.directory = directory
            self.path = path
        }
    }

    private static let root = "/sys/fs/cgroup"
    /// `cpu` of version 1 includes what a weight and a quota need; `blkio` is version 2's `io`.
    private static let firstControllers = ["memory", "cpu", "pids", "blkio"]

    private let places: [Place]
    private let name: String
    private let isUnified: Bool
    /// Below the root of the hierarchies.
    public let path: String

    /// Makes the cgroup `name` below `parent`; directories are made where they are missing.
    public init(_ name: String, below parent: String, limits: CgroupLimits) throws(JailError) {
        let components = parent.split(separator: "/").map(String.init)
        self.name = name
        path = "/" + (components + [name]).joined(separator: "/")
        isUnified = try Self.isUnified()
        let hierarchies = isUnified ? [Self.root] : Self.firstControllers.map { "\(Self.root)/\($0)" }
        if !isUnified, let file = limits.onlyUnified {
            throw .cgroup(path: path, SystemError(call: "open", subject: file, errno: ENOTSUP))
        }
        var places: [Place] = []
        for hierarchy in hierarchies {
            let path = ([hierarchy] + components + [name]).joined(separator: "/")
            do throws(SystemError) {
                let parent = try Self.open(components, in: hierarchy, enabling: isUnified ? limits.controllers : [])
                // Until the VMM is in it nobody takes it for one that was left behind.
                try parent.lock(.shared)
                try parent.makeDirectory(child: name, mode: 0o755)
                let directory = try parent.open(child: name, O_RDONLY | O_DIRECTORY)
                places.append(Place(parent: parent, directory: directory, path: path))
            } catch { throw .cgroup(path: path, error) }
        }
        self.places = places
        do throws(JailError) { try apply(limits) } catch {
            remove()
            throw error
        }
    }

    /// Other limits than before; those that are nil stay as they are.
    public func apply(_ limits: CgroupLimits) throws(JailError) {
        for (number, place) in places.enumerated() {
            try Self.apply(isUnified ? limits.unifiedSettings : limits.firstSettings(of: Self.firstControllers[number]), to: place)
        }
    }

    /// The same of one that was made before; `path`: as for `remove`.
    public static func apply(_ limits: CgroupLimits, at path: String) throws(JailError) {
        let isUnified = try isUnified()
        if !isUnified, let file = limits.onlyUnified { throw .cgroup(path: path, SystemError(call: "open", subject: file, errno: ENOTSUP)) }
        if isUnified {
            // One that nobody needed when it was made.
            let parents = path.split(separator: "/").dropLast().map(String.init)
            do throws(SystemError) { _ = try open(parents, in: root, enabling: limits.controllers) } catch { throw .cgroup(path: path, error) }
        }
        for controller in isUnified ? [""] : firstControllers.map({ "/" + $0 }) {
            let place: Place
            do throws(SystemError) {
                let directory = try OwnedDescriptor.open(root + controller + "/" + path, O_RDONLY | O_DIRECTORY)
                place = Place(parent: try directory.duplicate(), directory: directory, path: root + controller + path)
            } catch { throw .cgroup(path: path, error) }
            try apply(isUnified ? limits.unifiedSettings : limits.firstSettings(of: String(controller.dropFirst())), to: place)
        }
    }

    /// The cgroup that a process is in, below the root of the hierarchies; for version 1 that of systemd. Nil where that is not known.
    public static func path(of process: Int32) -> String? {
        guard let file = try? OwnedDescriptor.open("/proc/\(process)/cgroup", O_RDONLY), let bytes = try? readAll(file.raw, limit: 65536) else {
            return nil
        }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        for prefix in ["1:name=systemd:", "0::"] {
            for line in lines {
                // Hierarchies of version 1 have any number.
                let text = prefix == "0::" ? line : "1:" + line.drop { $0 != ":" }.dropFirst()
                if text.hasPrefix(prefix) { return String(text.dropFirst(prefix.count)) }
            }
        }
        return nil
    }

    /// For clone3(2); -1 where a process has to enter by itself.
    var directory: Int32 { isUnified ? places[0].directory.raw : -1 }

    /// This process enters: version 1 knows no other way.
    func enter() throws(SystemError) {
        if isUnified { return }
        for place in places { try Self.write("0", to: "cgroup.procs", in: place.directory) }
    }

    /// Its process is in it: from now on it lives as long as that.
    public func release() {
        for place in places { place.parent.unlock() }
    }

    /// When the process is gone. Also takes away what others left behind who didn't come to it.
    public func remove() {
        for place in places {
            Self.remove(name, from: place.parent)
            guard (try? place.parent.tryLock(.exclusive)) == true else { continue }
            // One with a process in it stays.
            for name in (try? place.parent.names(limit: 65536)) ?? [] where name.starts(with: "vm-".utf8) {
                _ = Self.removeDirectory(String(decoding: name, as: UTF8.self), from: place.parent)
            }
            place.parent.unlock()
        }
    }

    /// The same for one whose value is gone with the process that made it; `path`: below the root of the hierarchies. What isn't there any more is as good as removed.
    public static func remove(at path: String) {
        guard let isUnified = try? isUnified() else { return }
        var components = path.split(separator: "/").map(String.init)
        guard let name = components.popLast() else { return }
        for hierarchy in isUnified ? [root] : firstControllers.map({ "\(root)/\($0)" }) {
            guard let parent = try? OwnedDescriptor.open(([hierarchy] + components).joined(separator: "/"), O_RDONLY | O_DIRECTORY) else { continue }
            remove(name, from: parent)
        }
    }

    // MARK: Out of memory

    /// Files of version 2, open for writing: where 0 is written to each, in their order, the kernel ends the cgroup's processes for want of memory, the largest first. None for version 1, whose
    /// limits don't go below what is used.
    public func memoryLimits() -> [SharedDescriptor] {
        guard isUnified, let directory = places.first else { return [] }
        // Without swap first: nothing is to be written out that is about to go.
        var limits: [SharedDescriptor] = []
        for name in ["memory.swap.max", "memory.max"] {
            do throws(SystemError) { limits.append(SharedDescriptor(try directory.directory.open(child: name, O_WRONLY))) } catch {}
        }
        return limits
    }

    // MARK: Standing still

    /// All processes of a cgroup of version 2 stand still, or go on (cgroup.freeze). Version 1 throws ENOTSUP. `path`: as for `remove`.
    ///
    /// Nobody can wait for it: KVM's own thread, which the kernel puts beside the VMM's, is never frozen, so that cgroup.events doesn't call the whole frozen. All others leave
    /// the kernel for it, or the guest, within moments.
    public static func freeze(_ isFrozen: Bool, at path: String) throws(SystemError) {
        guard (try? isUnified()) == true else { throw SystemError(call: "open", subject: "cgroup.freeze", errno: ENOTSUP) }
        let directory = try OwnedDescriptor.open(root + "/" + path, O_RDONLY | O_DIRECTORY)
        try write(isFrozen ? "1" : "0", to: "cgroup.freeze", in: directory)
    }

    /// Whether they were told to stand still; false for version 1.
    public static func isFrozen(at path: String) -> Bool {
        guard (try? isUnified()) == true, let directory = try? OwnedDescriptor.open(root + "/" + path, O_RDONLY | O_DIRECTORY) else { return false }
        return (try? read("cgroup.freeze", in: directory).first) == UInt8(ascii: "1")
    }

    // MARK: Files

    private static func isUnified() throws(JailError) -> Bool {
        // SAFETY: access reads the strings during the calls.
        if unsafe access("\(root)/cgroup.controllers", F_OK) == 0 { return true }
        guard unsafe access("\(root)/memory/tasks", F_OK) == 0 else { throw .noCgroups }
        return false
    }

    /// Version 2 hands a controller to a cgroup's children only where it is told to.
    private static func open(_ components: [String], in hierarchy: String, enabling controllers: [String]) throws(SystemError) -> OwnedDescriptor {
        var directory = try OwnedDescriptor.open(hierarchy, O_RDONLY | O_DIRECTORY)
        try enable(controllers, in: directory)
        for component in components {
            try directory.makeDirectory(child: component, mode: 0o755)
            directory = try directory.open(child: component, O_RDONLY | O_DIRECTORY)
            try enable(controllers, in: directory)
        }
        return directory
    }

    private static func enable(_ controllers: [String], in directory: borrowing OwnedDescriptor) throws(SystemError) {
        if controllers.isEmpty { return }
        let enabled = words(try read("cgroup.subtree_control", in: directory))
        let missing = controllers.filter { !enabled.contains($0) }
        if missing.isEmpty { return }
        let available = words(try read("cgroup.controllers", in: directory))
        for controller in missing where available.contains(controller) {
            try write("+" + controller, to: "cgroup.subtree_control", in: directory)
        }
    }

    private static func apply(_ settings: [CgroupSetting], to place: Place) throws(JailError) {
        for setting in settings {
            do throws(SystemError) {
                for (number, (file, value)) in setting.ways.enumerated() {
                    do throws(SystemError) {
                        try write(value, to: file, in: place.directory)
                        break
                    } catch {
                        let isLast = number + 1 == setting.ways.count
                        if error.errno != ENOENT || isLast && setting.isVital { throw error }
                    }
                }
            } catch { throw .cgroup(path: place.path, error) }
        }
    }

    private static func write(_ text: String, to file: String, in directory: borrowing OwnedDescriptor) throws(SystemError) {
        let file = try directory.open(child: file, O_WRONLY)
        try writeAll(file.raw, Array(text.utf8))
    }

    private static func read(_ file: String, in directory: borrowing OwnedDescriptor) throws(SystemError) -> [UInt8] {
        let file = try directory.open(child: file, O_RDONLY)
        return try readAll(file.raw, limit: 4096)
    }

    private static func words(_ bytes: [UInt8]) -> [String] {
        bytes.split { $0 == 0x20 || $0 == 0x0A }.map { String(decoding: $0, as: UTF8.self) }
    }

    private static func remove(_ name: String, from parent: borrowing OwnedDescriptor) {
        // KVM's worker threads leave a moment after the process.
        for _ in 0..<200 where removeDirectory(name, from: parent) == EBUSY { usleep(1000) }
    }

    private static func removeDirectory(_ name: String, from parent: borrowing OwnedDescriptor) -> Int32 {
        let directory = parent.raw
        // SAFETY: unlinkat reads the string during the call.
        return unsafe unlinkat(directory, name, AT_REMOVEDIR) == 0 ? 0 : clinux_errno()
    }
}
