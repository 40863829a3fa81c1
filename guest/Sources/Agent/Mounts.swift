// A container's mounts and devices ("Default Devices" of the OCI runtime specification for Linux). Runs in the container's mount namespace, with its root as root
// directory, so that links resolve inside.
internal import AgentProtocol
internal import CGuest
internal import FirstProcess
internal import GuestSystem
internal import Unpacker
internal import Wire

private struct Node {
    let path: StaticString
    let mode: UInt32
    let major: UInt32
    let minor: UInt32

    init(_ path: StaticString, _ mode: UInt32, _ major: UInt32 = 0, _ minor: UInt32 = 0) {
        self.path = path
        self.mode = mode
        self.major = major
        self.minor = minor
    }
}

private let dev: [UInt8] = [0x2F, 0x64, 0x65, 0x76]
/// Of the guest's kernel's own knowledge: whoever has them elsewhere than others look for them fools these.
private let kernelTypes: [StaticString] = ["proc", "sysfs"]
private var tmpfs: [UInt8] { Array("tmpfs" as StaticString) }
private var mode: [UInt8] { Array("mode=" as StaticString) }
private let device: UInt32 = 0o020666
private let nodes = [
    Node("/dev/null", device, 1, 3), Node("/dev/zero", device, 1, 5), Node("/dev/full", device, 1, 7), Node("/dev/random", device, 1, 8),
    Node("/dev/urandom", device, 1, 9), Node("/dev/tty", device, 5, 0),
]
private let directories = [Node("/dev/pts", 0o755), Node("/dev/shm", 0o1777), Node("/dev/mqueue", 0o755)]
private let links: [(StaticString, StaticString)] = [
    ("/dev/ptmx", "pts/ptmx"), ("/dev/fd", "/proc/self/fd"), ("/dev/stdin", "/proc/self/fd/0"), ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"), ("/dev/core", "/proc/kcore"),
]

enum Mounts {
    /// A detached copy of each of the host's trees that is to be mounted, in the order of the mounts: from inside the container nothing leads to them any more.
    static func takeTrees(_ container: Container) throws(Failure) -> [Int32] {
        var trees: [Int32] = []
        var identities = container.identities[...]
        for mount in container.spec.mounts {
            switch mount.source {
            case .name: break
            case .directory(let number), .file(let number):
                do throws(SystemError) {
                    let tree = try FileSystem.copyTree(RootFileSystem.tree(number))
                    if mount.identities != nil, let namespace = identities.popFirst() { try FileSystem.mapIdentities(ofTree: tree, by: namespace) }
                    trees.append(tree)
                } catch { throw Failure(.agent, "the host's files for '\(name: mount.destination.bytes)' can't be reached: \(error)") }
            }
        }
        return trees
    }

    /// Everything but what depends on a process.
    static func setUp(_ spec: ContainerSpec, _ trees: [Int32]) throws(Failure) {
        umask(0)
        defer { umask(0o022) }
        var next = 0
        var lacksDevices = spec.makesDevices
        // A /dev that is to be read-only can be filled before that.
        var late: MountFlags = []
        for var mount in spec.mounts {
            if lacksDevices, mount.destination.bytes == dev, mount.flags.contains(.readOnly) {
                late = mount.flags
                mount.flags.remove(.readOnly)
            }
            if case .name = mount.source {
                try apply(mount, tree: -1)
            } else {
                try apply(mount, tree: trees[next])
                next += 1
            }
            // At once: what is mounted next may be below it.
            if lacksDevices, mount.destination.bytes == dev {
                try makeDevices()
                lacksDevices = false
            }
        }
        if lacksDevices { try makeDevices() }
        for device in spec.devices { try make(device) }
        if !late.isEmpty {
            do { try FileSystem.mount("", on: "/dev", type: "", flags: UInt(late.rawValue) | UInt(MS_REMOUNT | MS_BIND)) } catch {
                throw Failure(.agent, "the container's /dev can't be made read-only: \(error)")
            }
        }
        for parameter in spec.parameters { try set(parameter) }
    }

    private static func make(_ device: DeviceNode) throws(Failure) {
        let bytes = device.path.bytes
        let path = CPath(bytes)
        do throws(SystemError) {
            try Unpacker.makeDirectories(Array(bytes[..<(bytes.lastIndex(of: 0x2F) ?? 0)]))
            try ifMissing { () throws(SystemError) in try FileSystem.makeNode(path, mode: device.mode, major: device.major, minor: device.minor) }
            try FileSystem.changeOwner(path, user: device.user, group: device.group)
            // Also of one that was there.
            try FileSystem.changeMode(path, device.mode & 0o7777)
        } catch { throw Failure(.configuration, "the device '\(name: bytes)' can't be made: \(error)") }
    }

    private static func set(_ parameter: InjectedFile) throws(Failure) {
        do throws(SystemError) {
            let file = try OwnedDescriptor.open(CPath(parameter.path.bytes), O_WRONLY)
            try InputOutput.writeAll(file.raw, parameter.contents)
        } catch { throw Failure(.configuration, "the kernel parameter '\(name: parameter.path.bytes)' can't be set: \(error)") }
    }

    /// After the last change to the root file system.
    static func restrict(_ spec: ContainerSpec) throws(Failure) {
        for path in spec.readOnlyPaths { try protect(CPath(path.bytes)) }
        for path in spec.maskedPaths { try mask(CPath(path.bytes)) }
        if !spec.rootPropagation.isEmpty {
            do { try FileSystem.mount("", on: "/", type: "", flags: UInt(spec.rootPropagation.rawValue)) } catch {
                throw Failure(.agent, "the propagation of the root file system can't be set: \(error)")
            }
        }
        guard spec.readOnlyRoot else { return }
        do { try FileSystem.mount("", on: "/", type: "", flags: UInt(MS_REMOUNT | MS_BIND | MS_RDONLY)) } catch {
            throw Failure(.agent, "the root file system can't be made read-only: \(error)")
        }
    }

    private static func makeDevices() throws(Failure) {
        do { try fillDevices() } catch { throw Failure(.agent, "the container's /dev can't be filled: \(error)") }
    }

    private static func fillDevices() throws(SystemError) {
        for node in nodes {
            try ifMissing { () throws(SystemError) in
                try FileSystem.makeNode(CPath(node.path), mode: node.mode, major: node.major, minor: node.minor)
            }
        }
        for directory in directories {
            try ifMissing { () throws(SystemError) in try FileSystem.makeDirectory(CPath(directory.path), mode: directory.mode) }
        }
        for (path, target) in links {
            try ifMissing { () throws(SystemError) in try FileSystem.makeSymbolicLink(CPath(path), to: CPath(target)) }
        }
    }

    /// A privileged container's /dev, the machine's, has much of it.
    private static func ifMissing(_ make: () throws(SystemError) -> Void) throws(SystemError) {
        do throws(SystemError) { try make() } catch { if error != .exists { throw error } }
    }

    /// The terminal as /dev/console, where programs expect the system's console.
    static func bindConsole(terminal number: Int) throws(SystemError) {
        try? FileSystem.makeNode("/dev/console", mode: FileType.regular | 0o620)
        try FileSystem.mount("/dev/pts/\(number)", on: "/dev/console", type: "", flags: UInt(MS_BIND))
    }

    // MARK: The container's own

    /// `tree`: what `takeTrees` has for it.
    private static func apply(_ spec: MountSpec, tree: Int32) throws(Failure) {
        let flags = UInt(spec.flags.rawValue)
        guard spec.destination.bytes.first == 0x2F else {
            throw Failure(.configuration, "the mount's destination '\(name: spec.destination.bytes)' is not an absolute path")
        }
        let target = CPath(spec.destination.bytes)
        var source: CPath = ""
        if case .name(let name) = spec.source { source = CPath(name.bytes) }
        var data = spec.data.bytes
        // Who names no mode wants that of the directory which is covered, as with runc.
        if spec.type.bytes == tmpfs, !fields(of: data[...], separatedBy: 0x2C).contains(where: { $0.starts(with: mode) }),
            let status = try? FileStatus(of: target, followingLinks: true)
        {
            data += (data.isEmpty ? [] : [0x2C]) + mode + octal(status.mode & 0o7777)
        }
        if kernelTypes.contains(where: { spec.type.bytes == Array($0) }), (try? FileStatus(of: target, followingLinks: false))?.isSymbolicLink == true
        {
            throw Failure(
                .configuration,
                "'\(name: spec.type.bytes)' must be mounted on an ordinary directory, and '\(name: spec.destination.bytes)' is a symbolic link")
        }
        // It can be reached when it is covered.
        let covered = spec.copiesUp ? try? OwnedDescriptor.open(target, Int32(GUEST_O_PATH) | O_DIRECTORY).release() : nil
        func mount() throws(SystemError) {
            if tree >= 0 { return try FileSystem.attachTree(tree, to: target) }
            try FileSystem.mount(
                source, on: target, type: CPath(spec.type.bytes), flags: spec.copiesUp ? flags & ~UInt(MS_RDONLY) : flags, data: CPath(data))
        }
        do throws(SystemError) {
            do { try mount() } catch {
                guard error == .notFound else { throw error }
                try makeDestination(spec)
                try mount()
            }
            if let covered {
                let below = OwnedDescriptor(owning: covered)
                // Not by /proc, which may come later.
                try FileSystem.changeDirectory(below.raw)
                try CopyUp.copy(below: ".", to: target)
                try FileSystem.changeDirectory("/")
            }
            if spec.copiesUp, flags & UInt(MS_RDONLY) != 0 {
                try FileSystem.mount("", on: target, type: "", flags: flags | UInt(MS_REMOUNT | MS_BIND))
            }
            // A bind takes no other flags along.
            let bind = UInt(MS_BIND | MS_REC)
            if tree >= 0 || flags & bind != 0, flags & ~bind != 0 {
                try FileSystem.mount("", on: target, type: "", flags: flags | UInt(MS_REMOUNT | MS_BIND))
            }
            for propagation in spec.propagations { try FileSystem.mount("", on: target, type: "", flags: UInt(propagation.rawValue)) }
        } catch {
            throw Failure(
                .configuration, "'\(name: spec.type.bytes)' can't be mounted on '\(name: spec.destination.bytes)' in the container: \(error)")
        }
    }

    private static func octal(_ number: UInt32) -> [UInt8] { [9, 6, 3, 0].map { UInt8(0x30 + number >> $0 & 7) } }

    private static func makeDestination(_ spec: MountSpec) throws(SystemError) {
        let path = spec.destination.bytes
        guard case .file = spec.source else { return try Unpacker.makeDirectories(path) }
        try Unpacker.makeDirectories(Array(path[..<(path.lastIndex(of: 0x2F) ?? 0)]))
        _ = try OwnedDescriptor.open(CPath(path), O_WRONLY | O_CREAT, mode: 0o755)
    }

    private static func protect(_ path: CPath) throws(Failure) {
        do throws(SystemError) {
            try FileSystem.mount(path, on: path, type: "", flags: UInt(MS_BIND | MS_REC))
            try FileSystem.mount("", on: path, type: "", flags: UInt(MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NOEXEC | MS_NODEV))
        } catch { if error != .notFound { throw Failure(.configuration, "'\(name: path.bytes)' can't be made read-only: \(error)") } }
    }

    private static func mask(_ path: CPath) throws(Failure) {
        do throws(SystemError) {
            do { try FileSystem.mount("/dev/null", on: path, type: "", flags: UInt(MS_BIND)) } catch {
                guard error == .notDirectory else { throw error }
                try FileSystem.mount("tmpfs", on: path, type: "tmpfs", flags: UInt(MS_RDONLY), data: "size=0,nr_inodes=1")
            }
        } catch { if error != .notFound { throw Failure(.configuration, "'\(name: path.bytes)' can't be masked: \(error)") } }
    }
}
