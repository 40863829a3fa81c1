// What is known of a container that lives without the command that made it, as state.json in its directory has it.
import Glibc
import LinuxSystem
import OCI

struct ContainerRecord: Equatable {
    var identifier: String
    /// The VMM's process.
    var process: Int32
    /// When that began, in the kernel's ticks since the boot: no two processes with one id have one beginning.
    var started: UInt64
    var bundle: String
    var rootDirectory: String
    /// Which other containers of its pod have, too; empty: none was asked for.
    var hostName: String
    var annotations: [String: String]
    /// In seconds since 1970.
    var created: Int64
    /// In its hierarchies; nil: none.
    var cgroup: String?
    /// The unit whose cgroup it is, where systemd made it.
    var systemdUnit: String?
    /// The machine's, in bytes.
    var memory: UInt64 = 0
    var hooks: RuntimeSpecification.Hooks
    /// The configuration's `process`: what others are executed like.
    var template: JSONValue

    /// Not more than a configuration has.
    static let sizeLimit = Int(JSONDocument.sizeLimit) + 65536

    init(
        identifier: String, process: Int32, started: UInt64, bundle: String, rootDirectory: String, specification: RuntimeSpecification,
        cgroup: String?, created: Int64
    ) {
        self.identifier = identifier
        self.process = process
        self.started = started
        self.bundle = bundle
        self.rootDirectory = rootDirectory
        hostName = specification.hostname
        annotations = specification.annotations
        self.created = created
        self.cgroup = cgroup
        hooks = specification.hooks
        template = specification.processValue
    }

    init(json: [UInt8], name: String) throws(OCIError) {
        self = try JSONDocument.decode(json, name: name) { value throws(FieldError) in try ContainerRecord(JSONObject(value)) }
    }

    private init(_ object: JSONObject) throws(FieldError) {
        func text(_ name: String) throws(FieldError) -> String { try object.require(name, try object.string(name)) }
        identifier = try text("id")
        process = Int32(clamping: try object.require("pid", try object.integer("pid")))
        started = UInt64(clamping: try object.require("started", try object.integer("started")))
        bundle = try text("bundle")
        rootDirectory = try text("rootfs")
        hostName = try object.string("hostname") ?? ""
        annotations = try object.object("annotations") { fields throws(FieldError) in try fields.texts() } ?? [:]
        created = try object.require("created", try object.integer("created"))
        cgroup = try object.string("cgroup")
        systemdUnit = try object.string("systemdUnit")
        memory = UInt64(clamping: try object.integer("memory") ?? 0)
        template = try object.require("process", object.value("process"))
        hooks = try object.object("hooks") { fields throws(FieldError) in try RuntimeSpecification.Hooks(fields) } ?? RuntimeSpecification.Hooks()
    }

    var json: JSONValue {
        .object(
            ("id", .string(identifier)), ("pid", .integer(Int64(process))), ("started", .integer(Int64(clamping: started))),
            ("bundle", .string(bundle)), ("rootfs", .string(rootDirectory)),
            ("hostname", .string(hostName)), ("annotations", annotations.json), ("created", .integer(created)),
            ("cgroup", cgroup.map(JSONValue.string)), ("systemdUnit", systemdUnit.map(JSONValue.string)),
            ("memory", .integer(Int64(clamping: memory))), ("hooks", hooks.json),
            ("process", template))
    }

    /// The specification's "State" (runtime.md), for hooks and `swiftlet state`; runc's has more members, which engines read.
    func state(_ status: ContainerStatus, isWhole: Bool) -> JSONValue {
        let process: Int32 = status == .stopped ? 0 : self.process
        let number: (String, JSONValue?) = ("pid", .integer(Int64(process)))
        let word: (String, JSONValue?) = ("status", .string(status.rawValue))
        // In the specification's order, and in runc's, which some read by it.
        var members: [(String, JSONValue?)] =
            [("ociVersion", .string(Self.version)), ("id", .string(identifier))] + (isWhole ? [number, word] : [word, number])
            + [("bundle", .string(bundle))]
        if isWhole {
            members += [("rootfs", .string(rootDirectory)), ("created", .string(Instant(seconds: created).standardText)), ("owner", .string(""))]
        }
        if !annotations.isEmpty { members.append(("annotations", annotations.json)) }
        return .object(members.compactMap { name, value in value.map { JSONValue.Member(name: name, value: $0) } })
    }

    /// Of the runtime specification.
    static let version = "1.2.0"

    /// Whether the VMM still is there: its id may be somebody else's by now.
    var isAlive: Bool { Self.beginning(of: process) == started }

    /// When a process began, in the kernel's ticks since the boot (proc(5), field 22 of stat); nil for one that is gone or has ended.
    static func beginning(of process: Int32) -> UInt64? {
        guard process > 0, let file = try? OwnedDescriptor.open("/proc/\(process)/stat", O_RDONLY), let bytes = try? readAll(file.raw, limit: 4096),
            let end = bytes.lastIndex(of: UInt8(ascii: ")"))
        else { return nil }
        // After the name, which may hold anything: state, then nineteen numbers before ours.
        let fields = bytes[(end + 1)...].split(separator: 0x20).map { String(decoding: $0, as: UTF8.self) }
        guard fields.count > 19, fields[0] != "Z", fields[0] != "X" else { return nil }
        return UInt64(fields[19])
    }
}

/// As the runtime specification has them.
enum ContainerStatus: String {
    case creating, created, running, paused, stopped
}

extension [String: String] {
    fileprivate var json: JSONValue {
        .object(sorted { $0.key < $1.key }.map { JSONValue.Member(name: $0.key, value: .string($0.value)) })
    }
}

extension RuntimeSpecification.Hooks {
    fileprivate var json: JSONValue {
        func list(_ hooks: [RuntimeSpecification.Hook]) -> JSONValue? {
            hooks.isEmpty
                ? nil
                : .array(
                    hooks.map {
                        .object(
                            ("path", .string($0.path)), ("args", .strings($0.arguments)), ("env", .strings($0.environment)),
                            ("timeout", $0.timeout.map(JSONValue.integer)))
                    })
        }
        return .object(("poststart", list(poststart)), ("poststop", list(poststop)))
    }
}
