// Where a container that lives without the command that made it is kept: ROOT/ID, a directory that is only its owner's.
//
//   state.json   what is known of it (`ContainerRecord`), written whole before anybody is told of the container
//   status       one byte, the VMM's word on how far it has come (`LifecycleStatus`)
//   seccomp      the compiled profile, where there is one
//   control      the socket on which the VMM takes requests (`ControlRequest`)
//
// Nothing else is believed: whether it still runs is asked of the kernel. Commands that change it hold a lock on the directory, which ends with them, however they end.
import AgentProtocol
import Confinement
import Glibc
import Jail
import LaunchConfiguration
import LinuxSystem
import OCI
import Wire

/// All containers of one ROOT.
struct ContainerDirectories: ~Copyable {
    private let root: OwnedDescriptor

    /// `path`: nil for /run/swiftlet, or for an ordinary user, and root of a rootless engine's namespace, $XDG_RUNTIME_DIR/swiftlet. Nil where it is missing and nobody makes it.
    static func open(_ path: Text?, runtimeDirectory: Text?, makes: Bool) throws(ContainerError) -> ContainerDirectories? {
        let path =
            path
            ?? (Identity.available == .fresh
                ? "/run/swiftlet" : Text((runtimeDirectory?.string ?? "/tmp/swiftlet-\(geteuid())") + "/swiftlet"))
        do throws(SystemError) {
            guard makes else {
                do throws(SystemError) { return ContainerDirectories(root: try OwnedDescriptor.open(path: path.bytes, O_RDONLY | O_DIRECTORY)) } catch
                {
                    if error.errno == ENOENT { return nil }
                    throw error
                }
            }
            for end in path.bytes.indices.dropFirst() where path.bytes[end] == UInt8(ascii: "/") {
                try OwnedDescriptor.makeDirectory(path: Array(path.bytes[..<end]), mode: 0o711)
            }
            try OwnedDescriptor.makeDirectory(path: path.bytes, mode: 0o700)
            return ContainerDirectories(root: try OwnedDescriptor.open(path: path.bytes, O_RDONLY | O_DIRECTORY))
        } catch { throw .system(what: "the containers' directory \(path.string) cannot be used (give another --root)", error) }
    }

    /// runc's names: letters, digits and _ + - . with the exception of the two that are directories themselves.
    static func check(_ identifier: String) throws(ContainerError) {
        let isPlain = identifier.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
            case UInt8(ascii: "_"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."): true
            default: false
            }
        }
        guard isPlain, !identifier.isEmpty, identifier.utf8.count <= 255, identifier != ".", identifier != ".." else {
            throw .container("invalid container ID format: \"\(identifier)\": use letters, digits and _ + - . (at most 255)")
        }
    }

    /// A new one, locked. What a command that was killed left behind before there was a container is taken over.
    func make(_ identifier: String) throws(ContainerError) -> ContainerDirectory {
        try Self.check(identifier)
        let made: ContainerDirectory? = try using(identifier) { () throws(SystemError) in
            try root.makeDirectory(child: identifier, mode: 0o700)
            let directory = try ContainerDirectory(identifier, in: root)
            guard try directory.lock(waiting: false), try !directory.hasRecord else { return nil }
            try directory.clear()
            return directory
        }
        guard let made else { throw .container("container with given ID already exists: \(identifier)") }
        return made
    }

    /// One that is there.
    func find(_ identifier: String) throws(ContainerError) -> ContainerDirectory {
        try Self.check(identifier)
        let found: ContainerDirectory? = try using(identifier) { () throws(SystemError) in
            do throws(SystemError) { return try ContainerDirectory(identifier, in: root) } catch {
                if error.errno == ENOENT { return nil }
                throw error
            }
        }
        guard let found else { throw .container("container does not exist: \(identifier)") }
        return found
    }

    var identifiers: [String] {
        get throws(ContainerError) {
            try using("") { () throws(SystemError) in try root.names(limit: 1 << 20) }.map { String(decoding: $0, as: UTF8.self) }.sorted()
        }
    }

    /// The host name of the container whose VMM is in a uts namespace; nil where none is, or where it has none.
    func hostName(ofNamespace path: String) -> String? {
        func namespace(_ path: String) -> UInt64? { try? OwnedDescriptor.open(path, O_RDONLY | O_NONBLOCK).status().inode }
        guard let wanted = namespace(path), let identifiers = try? identifiers else { return nil }
        for identifier in identifiers {
            guard let record = try? find(identifier).read(), record.isAlive, namespace("/proc/\(record.process)/ns/uts") == wanted else { continue }
            return record.hostName.isEmpty ? nil : record.hostName
        }
        return nil
    }

    private func using<Result>(_ identifier: String, _ body: () throws(SystemError) -> Result) throws(ContainerError) -> Result {
        do throws(SystemError) { return try body() } catch { throw .system(what: "the state of the container \(identifier) cannot be kept", error) }
    }
}

final class ContainerDirectory {
    let identifier: String
    private let root: OwnedDescriptor
    private let directory: OwnedDescriptor

    init(_ identifier: String, in root: borrowing OwnedDescriptor) throws(SystemError) {
        self.identifier = identifier
        self.root = try root.duplicate()
        directory = try root.open(child: identifier, O_RDONLY | O_DIRECTORY)
    }

    // MARK: Lock

    /// False where it isn't waited for and somebody else has it.
    func lock(waiting: Bool) throws(SystemError) -> Bool {
        if !waiting { return try directory.tryLock(.exclusive) }
        try directory.lock(.exclusive)
        return true
    }

    func unlock() { directory.unlock() }

    /// Waits for other commands; throws where one of them has removed the container.
    func lock() throws(ContainerError) {
        do throws(SystemError) {
            _ = try lock(waiting: true)
            let own = try directory.status()
            if let now = try root.status(ofChild: identifier), now.inode == own.inode { return }
        } catch { throw .system(what: "the container \(identifier) cannot be locked", error) }
        throw .container("container does not exist: \(identifier)")
    }

    // MARK: What is known

    private static let record = "state.json"
    private static let status = "status"
    private static let control = "control"
    private static let filter = "seccomp"

    var hasRecord: Bool {
        get throws(SystemError) { try directory.status(ofChild: Self.record) != nil }
    }

    func write(_ record: ContainerRecord) throws(ContainerError) {
        do {
            let bytes = try record.json.text(limit: ContainerRecord.sizeLimit)
            let file = try directory.open(child: Self.record + ".new", O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
            try writeAll(file.raw, bytes)
            try file.synchronize()
            try directory.rename(child: Self.record + ".new", to: Self.record, in: directory)
            try directory.synchronize()
        } catch let error as SystemError {
            throw .system(what: "the state of the container \(identifier) cannot be kept", error)
        } catch { throw .container("the state of the container \(identifier) cannot be kept: \(error)") }
    }

    /// Nil where there is none yet: the container is being made, or that was given up.
    func read() throws(ContainerError) -> ContainerRecord? {
        do {
            guard try directory.status(ofChild: Self.record) != nil else { return nil }
            let file = try directory.open(child: Self.record, O_RDONLY)
            return try ContainerRecord(
                json: try readAll(file.raw, limit: ContainerRecord.sizeLimit), name: "the state of the container \(identifier)")
        } catch let error as SystemError {
            if error.errno == ENOENT { return nil }
            throw .system(what: "the state of the container \(identifier) cannot be read", error)
        } catch { throw .container("\(error)") }
    }

    /// The record of a container that is there.
    func requireRecord() throws(ContainerError) -> ContainerRecord {
        guard let record = try read() else { throw .container("container does not exist: \(identifier)") }
        return record
    }

    /// A file for the VMM to say in how far it has come.
    func makeStatus() throws(SystemError) -> OwnedDescriptor {
        let file = try directory.open(child: Self.status, O_RDWR | O_CREAT | O_TRUNC, mode: 0o600)
        try writeAll(file.raw, [LifecycleStatus.creating.rawValue])
        return file
    }

    /// The container's compiled seccomp profile, for what is executed in it later; empty: none.
    func write(seccomp: SeccompProgram?) throws(ContainerError) {
        guard let seccomp else { return }
        do throws(SystemError) {
            let file = try directory.open(child: Self.filter, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
            try writeAll(file.raw, seccomp.bytes)
        } catch { throw .system(what: "the state of the container \(identifier) cannot be kept", error) }
    }

    func seccomp() throws(ContainerError) -> [UInt8] {
        do throws(SystemError) {
            guard try directory.status(ofChild: Self.filter) != nil else { return [] }
            let file = try directory.open(child: Self.filter, O_RDONLY)
            return try readAll(file.raw, limit: ProcessSpec.filterLimit + 1)
        } catch { throw .system(what: "the state of the container \(identifier) cannot be read", error) }
    }

    func status(of record: ContainerRecord) -> ContainerStatus {
        guard record.isAlive else { return .stopped }
        guard let file = try? directory.open(child: Self.status, O_RDONLY), let byte = try? readAll(file.raw, limit: 16).first else {
            return .stopped
        }
        switch LifecycleStatus(rawValue: byte) {
        case .running: return record.cgroup.map { Cgroup.isFrozen(at: $0) } == true ? .paused : .running
        case .created: return .created
        case .creating, nil: return .creating
        }
    }

    // MARK: Requests

    /// However long the directory's own name is, this one fits into an address.
    private var controlPath: String { "/proc/self/fd/\(directory.raw)/\(Self.control)" }

    /// A connection of its own.
    func connect(limit: Int) throws(ContainerError) -> PacketSocket {
        do throws(SystemError) {
            return PacketSocket(owning: try UnixSocket.connectForPackets(to: controlPath), limit: limit)
        } catch { throw .container("container not running") }
    }

    func makeControl() throws(SystemError) -> OwnedDescriptor { try UnixSocket.listenForPackets(at: controlPath) }

    /// Has the VMM do something, and waits until it is done.
    func request(_ request: ControlRequest) throws(ContainerError) {
        guard try ask(request) == .done else { throw .container("container not running") }
    }

    /// Asks the VMM and waits for its answer; throws what it says where that is a failure.
    func ask(_ request: ControlRequest) throws(ContainerError) -> ControlReply {
        let reply: ControlReply?
        do throws(SystemError) {
            let socket = PacketSocket(owning: try UnixSocket.connectForPackets(to: controlPath), limit: ControlReply.sizeLimit)
            try socket.send(request.wireBytes)
            reply = try socket.receive().flatMap { try? ControlReply(wireBytes: $0.bytes) }
        } catch {
            if [ECONNREFUSED, ENOENT, EPIPE, ECONNRESET].contains(error.errno) { throw .container("container not running") }
            throw .system(what: "the machine of the container \(identifier) cannot be asked", error)
        }
        if case .failed(let sentence) = reply { throw .container(sentence.string) }
        guard let reply else { throw .container("container not running") }
        return reply
    }

    // MARK: The end

    /// Removes everything in it.
    func clear() throws(SystemError) {
        for name in try directory.names(limit: 64) { try directory.remove(child: String(decoding: name, as: UTF8.self)) }
    }

    /// Removes it, with its cgroup.
    func remove(_ record: ContainerRecord?) throws(ContainerError) {
        if let cgroup = record?.cgroup { Cgroup.remove(at: cgroup) }
        do throws(SystemError) {
            try clear()
            try root.removeDirectory(child: identifier)
        } catch { throw .system(what: "the state of the container \(identifier) cannot be removed", error) }
    }
}
