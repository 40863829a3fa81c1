// A container as an engine describes it: config.json of the OCI runtime specification (config.md, config-linux.md).
//
// Of every field that the specification has for Linux it is known whether it is applied: `RuntimeSpecification` holds it; or refused: `refusals` names it. What the
// specification doesn't know is ignored, as it demands.

public struct RuntimeSpecification: Equatable, Sendable {
    public struct User: Equatable, Sendable {
        public var user: UInt32 = 0
        public var group: UInt32 = 0
        public var umask: UInt32?
        public var additionalGroups: [UInt32] = []

        public init(user: UInt32 = 0, group: UInt32 = 0, umask: UInt32? = nil, additionalGroups: [UInt32] = []) {
            self.user = user
            self.group = group
            self.umask = umask
            self.additionalGroups = additionalGroups
        }
    }

    public struct Limit: Equatable, Sendable {
        /// As in `RLIMIT_NOFILE`.
        public var type: String
        public var soft: UInt64
        public var hard: UInt64
    }

    /// In characters.
    public struct ConsoleSize: Equatable, Sendable {
        public var rows: UInt16
        public var columns: UInt16

        public init(rows: UInt16, columns: UInt16) {
            self.rows = rows
            self.columns = columns
        }
    }

    public struct Process: Equatable, Sendable {
        public var terminal = false
        public var consoleSize: ConsoleSize?
        public var user = User()
        public var arguments: [String] = []
        /// NAME=VALUE each.
        public var environment: [String] = []
        public var workingDirectory = "/"
        /// Names as in `CAP_CHOWN`. Nil: none at all.
        public var bounding: [String]?
        public var effective: [String] = []
        public var permitted: [String] = []
        public var inheritable: [String] = []
        public var ambient: [String] = []
        public var limits: [Limit] = []
        /// -1000 to 1000.
        public var outOfMemoryAdjustment: Int32 = 0
        public var noNewPrivileges = false
    }

    public struct Root: Equatable, Sendable {
        /// Absolute, or relative to the bundle.
        public var path: String
        public var isReadOnly: Bool
    }

    public struct Mount: Equatable, Sendable {
        public var destination: String
        public var type: String
        public var source: String
        public var options: [String]
        /// Container: in the source; host: where it is mounted.
        public var userMappings: [IdentityMapping] = []
        public var groupMappings: [IdentityMapping] = []
    }

    public struct Hook: Equatable, Sendable {
        public var path: String
        /// The name that the program is called by included.
        public var arguments: [String]
        public var environment: [String]
        /// In seconds.
        public var timeout: Int64?
    }

    /// "Hooks" of config.md.
    public struct Hooks: Equatable, Sendable {
        /// In the container; the others run on the host.
        public var startContainer: [Hook] = []
        public var prestart: [Hook] = []
        public var createRuntime: [Hook] = []
        public var poststart: [Hook] = []
        public var poststop: [Hook] = []

        public init() {}
    }

    public struct Namespace: Equatable, Sendable {
        public var type: String
        public var path: String?
    }

    /// Consecutive users, or groups, of a user namespace.
    public struct IdentityMapping: Equatable, Sendable {
        public var container: UInt32
        public var host: UInt32
        public var size: UInt32
    }

    /// A device node to be made.
    public struct DeviceNode: Equatable, Sendable {
        public var path: String
        /// c, b, u or p.
        public var type: String
        public var major: UInt32
        public var minor: UInt32
        /// Of permissions alone.
        public var mode: UInt32
        public var user: UInt32
        public var group: UInt32
    }

    public var version: String
    public var process: Process?
    /// The same as it is written; null where there is none.
    public var processValue: JSONValue
    public var root: Root
    public var hostname: String
    public var domainName: String
    public var mounts: [Mount]
    public var hooks: Hooks
    public var annotations: [String: String]
    public var namespaces: [Namespace]
    public var userMappings: [IdentityMapping]
    public var groupMappings: [IdentityMapping]
    /// By their names, as in `net.core.somaxconn`.
    public var parameters: [String: String]
    public var resources: RuntimeResources
    public var devices: [DeviceNode]
    public var cgroupsPath: String
    /// As a seccomp profile is written.
    public var seccomp: JSONValue?
    /// As mount(8) has it; empty: private.
    public var rootPropagation: String
    public var maskedPaths: [String]
    public var readOnlyPaths: [String]
    /// What can't be done here, each as a field and the reason.
    public var refusals: [FieldError]

    public init(json: [UInt8], name: String) throws(OCIError) {
        self = try JSONDocument.decode(json, name: name) { value throws(FieldError) in try RuntimeSpecification(JSONObject(value)) }
    }

    private init(_ object: JSONObject) throws(FieldError) {
        version = try object.require("ociVersion", try object.string("ociVersion"))
        guard version.hasPrefix("1.") else {
            throw FieldError(path: "ociVersion", problem: " \"\(version)\" is not 1.x, which is what is understood")
        }
        process = try object.object("process") { fields throws(FieldError) in try Process(fields) }
        processValue = object.value("process") ?? .null
        root = try object.require(
            "root",
            try object.object("root") { fields throws(FieldError) in
                Root(path: try fields.require("path", try fields.string("path")), isReadOnly: try fields.boolean("readonly"))
            })
        hostname = try object.string("hostname") ?? ""
        domainName = try object.string("domainname") ?? ""
        mounts = try object.list("mounts") { item throws(FieldError) in try Mount(JSONObject(item)) } ?? []
        hooks = try object.object("hooks") { fields throws(FieldError) in try Hooks(fields) } ?? Hooks()
        annotations = try object.object("annotations") { fields throws(FieldError) in try fields.texts() } ?? [:]
        var linux = Linux()
        if let found = try object.object("linux", { fields throws(FieldError) in try Linux(fields) }) { linux = found }
        namespaces = linux.namespaces
        userMappings = linux.userMappings
        groupMappings = linux.groupMappings
        parameters = linux.parameters
        resources = linux.resources
        devices = linux.devices
        cgroupsPath = linux.cgroupsPath
        seccomp = linux.seccomp
        rootPropagation = linux.rootPropagation
        maskedPaths = linux.maskedPaths
        readOnlyPaths = linux.readOnlyPaths
        refusals = try Self.refusals(object) + linux.resources.refusals.map { $0.within("linux.resources") }
    }

    // MARK: What is refused

    /// Fields that ask for something that a container here doesn't get. Empty ones ask for nothing.
    private static let refused: [(path: [String], reason: String)] = [
        (["process", "scheduler"], "scheduling policies are not supported"),
        (["process", "ioPriority"], "priorities of input and output are not supported"),
        (["process", "execCPUAffinity"], "affinities are not supported"),
        (["hooks", "createContainer"], "programs of the host can't run in the container's namespaces, which are a machine's"),
        (["linux", "timeOffsets"], "time namespaces are not supported"),
        (["linux", "netDevices"], "network devices can't be moved into a machine"),
        (["linux", "intelRdt"], "resctrl is not supported"),
        (["linux", "memoryPolicy"], "memory policies are not supported"),
        (["linux", "personality"], "execution domains are not supported"),
    ]

    /// What a process by itself, as `swiftlet exec --process` has it, asks for and doesn't get.
    public static func refusals(ofProcess value: JSONValue) throws(FieldError) -> [FieldError] {
        try refusals(JSONObject(.object([JSONValue.Member(name: "process", value: value)])))
    }

    private static func refusals(_ object: JSONObject) throws(FieldError) -> [FieldError] { object.refusals(refused) }
}

extension JSONObject {
    /// Those of the fields that ask for something, with the reasons.
    func refusals(_ refused: [(path: [String], reason: String)]) -> [FieldError] {
        var found: [FieldError] = []
        for (path, reason) in refused {
            guard let value = Self.find(path[...], in: .object(members)), !value.asksForNothing else { continue }
            found.append(FieldError(path: path.joined(separator: "."), problem: ": \(reason)"))
        }
        return found
    }

    private static func find(_ path: ArraySlice<String>, in value: JSONValue) -> JSONValue? {
        guard let name = path.first else { return value }
        guard case .object(let members) = value, let member = members.last(where: { $0.name == name }) else { return nil }
        return find(path.dropFirst(), in: member.value)
    }
}

extension JSONValue {
    var asksForNothing: Bool {
        switch self {
        case .null, .boolean(false), .integer(0), .string(""): true
        case .array(let values): values.isEmpty
        case .object(let members): members.allSatisfy(\.value.asksForNothing)
        default: false
        }
    }
}

// MARK: Parts

extension RuntimeSpecification.Process {
    /// Of a document of its own.
    public init(_ value: JSONValue) throws(FieldError) { try self.init(JSONObject(value)) }

    fileprivate init(_ object: JSONObject) throws(FieldError) {
        terminal = try object.boolean("terminal")
        consoleSize = try object.object("consoleSize") { size throws(FieldError) in
            RuntimeSpecification.ConsoleSize(rows: try size.unsigned("height") ?? 0, columns: try size.unsigned("width") ?? 0)
        }
        user =
            try object.object("user") { fields throws(FieldError) in
                RuntimeSpecification.User(
                    user: try fields.unsigned("uid") ?? 0, group: try fields.unsigned("gid") ?? 0, umask: try fields.unsigned("umask"),
                    additionalGroups: try fields.list("additionalGids") { item throws(FieldError) in try item.unsigned() } ?? [])
            } ?? user
        arguments = try object.strings("args") ?? []
        guard !arguments.isEmpty else { throw FieldError(path: "args", problem: " must not be empty") }
        environment = try object.strings("env") ?? []
        workingDirectory = try object.require("cwd", try object.string("cwd"))
        guard workingDirectory.hasPrefix("/") else { throw FieldError(path: "cwd", problem: " must be an absolute path") }
        if let sets = try object.object("capabilities", { sets throws(FieldError) in sets }) {
            bounding = try sets.strings("bounding") ?? []
            effective = try sets.strings("effective") ?? []
            permitted = try sets.strings("permitted") ?? []
            inheritable = try sets.strings("inheritable") ?? []
            ambient = try sets.strings("ambient") ?? []
        }
        limits =
            try object.list("rlimits") { item throws(FieldError) in
                let fields = try JSONObject(item)
                return RuntimeSpecification.Limit(
                    type: try fields.require("type", try fields.string("type")), soft: try fields.limit("soft"), hard: try fields.limit("hard"))
            } ?? []
        let adjustment = try object.integer("oomScoreAdj") ?? 0
        guard (-1000...1000).contains(adjustment) else { throw FieldError(path: "oomScoreAdj", problem: " \(adjustment) is not from -1000 to 1000") }
        outOfMemoryAdjustment = Int32(adjustment)
        noNewPrivileges = try object.boolean("noNewPrivileges")
    }
}

extension RuntimeSpecification.Mount {
    fileprivate init(_ object: JSONObject) throws(FieldError) {
        destination = try object.require("destination", try object.string("destination"))
        type = try object.string("type") ?? ""
        source = try object.string("source") ?? ""
        options = try object.strings("options") ?? []
        userMappings = try object.list("uidMappings") { item throws(FieldError) in try .init(JSONObject(item)) } ?? []
        groupMappings = try object.list("gidMappings") { item throws(FieldError) in try .init(JSONObject(item)) } ?? []
    }
}

extension RuntimeSpecification.Hooks {
    public init(_ object: JSONObject) throws(FieldError) {
        prestart = try Self.list(object, "prestart")
        createRuntime = try Self.list(object, "createRuntime")
        startContainer = try Self.list(object, "startContainer")
        poststart = try Self.list(object, "poststart")
        poststop = try Self.list(object, "poststop")
    }

    private static func list(_ object: JSONObject, _ name: String) throws(FieldError) -> [RuntimeSpecification.Hook] {
        try object.list(name) { item throws(FieldError) in
            let fields = try JSONObject(item)
            let path = try fields.require("path", try fields.string("path"))
            guard path.hasPrefix("/") else { throw FieldError(path: "path", problem: " must be absolute") }
            return RuntimeSpecification.Hook(
                path: path, arguments: try fields.strings("args") ?? [path], environment: try fields.strings("env") ?? [],
                timeout: try fields.integer("timeout"))
        } ?? []
    }
}

/// The object `linux`.
private struct Linux {
    var namespaces: [RuntimeSpecification.Namespace] = []
    var userMappings: [RuntimeSpecification.IdentityMapping] = []
    var groupMappings: [RuntimeSpecification.IdentityMapping] = []
    var parameters: [String: String] = [:]
    var resources = RuntimeResources()
    var devices: [RuntimeSpecification.DeviceNode] = []
    var cgroupsPath = ""
    var seccomp: JSONValue?
    var rootPropagation = ""
    var maskedPaths: [String] = []
    var readOnlyPaths: [String] = []

    init() {}

    init(_ object: JSONObject) throws(FieldError) {
        namespaces =
            try object.list("namespaces") { item throws(FieldError) in
                let fields = try JSONObject(item)
                return RuntimeSpecification.Namespace(
                    type: try fields.require("type", try fields.string("type")), path: try fields.string("path"))
            } ?? []
        userMappings = try object.list("uidMappings") { item throws(FieldError) in try .init(JSONObject(item)) } ?? []
        groupMappings = try object.list("gidMappings") { item throws(FieldError) in try .init(JSONObject(item)) } ?? []
        parameters = try object.object("sysctl") { fields throws(FieldError) in try fields.texts() } ?? [:]
        resources = try object.object("resources") { fields throws(FieldError) in try RuntimeResources(fields) } ?? resources
        devices = try object.list("devices") { item throws(FieldError) in try RuntimeSpecification.DeviceNode(JSONObject(item)) } ?? []
        cgroupsPath = try object.string("cgroupsPath") ?? ""
        seccomp = object.value("seccomp")
        maskedPaths = try object.strings("maskedPaths") ?? []
        readOnlyPaths = try object.strings("readonlyPaths") ?? []
        rootPropagation = try object.string("rootfsPropagation") ?? ""
        let known = ["", "private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable"]
        guard known.contains(rootPropagation) else {
            throw FieldError(path: "rootfsPropagation", problem: " \"\(rootPropagation)\" is none of private, slave, shared and unbindable")
        }
    }
}

extension RuntimeSpecification.IdentityMapping {
    fileprivate init(_ object: JSONObject) throws(FieldError) {
        container = try object.require("containerID", try object.unsigned("containerID"))
        host = try object.require("hostID", try object.unsigned("hostID"))
        size = try object.require("size", try object.unsigned("size"))
    }
}

extension RuntimeSpecification.DeviceNode {
    fileprivate init(_ object: JSONObject) throws(FieldError) {
        path = try object.require("path", try object.string("path"))
        guard path.hasPrefix("/") else { throw FieldError(path: "path", problem: " \"\(path)\" is not an absolute path") }
        type = try object.require("type", try object.string("type"))
        guard ["c", "b", "u", "p"].contains(type) else { throw FieldError(path: "type", problem: " \"\(type)\" is none of c, b, u and p") }
        major = try object.unsigned("major") ?? 0
        minor = try object.unsigned("minor") ?? 0
        mode = (try object.unsigned("fileMode") ?? 0o666) & 0o7777
        user = try object.unsigned("uid") ?? 0
        group = try object.unsigned("gid") ?? 0
    }
}

extension JSONObject {
    func boolean(_ name: String) throws(FieldError) -> Bool {
        guard let value = value(name) else { return false }
        guard case .boolean(let isTrue) = value else { throw .wrongType(name) }
        return isTrue
    }

    func unsigned<Number: FixedWidthInteger & UnsignedInteger>(_ name: String) throws(FieldError) -> Number? {
        guard let value = value(name) else { return nil }
        do throws(FieldError) { return try value.unsigned() } catch { throw error.within(name) }
    }

    /// Of setrlimit(2): RLIM_INFINITY is beyond the parser's integers.
    func limit(_ name: String) throws(FieldError) -> UInt64 {
        guard let value = value(name) else { throw FieldError(path: name, problem: " is missing") }
        return value == .otherNumber ? .max : try unsigned(name) ?? 0
    }
}

extension JSONValue {
    fileprivate func unsigned<Number: FixedWidthInteger & UnsignedInteger>() throws(FieldError) -> Number {
        guard case .integer(let number) = self, let fitting = Number(exactly: number) else {
            throw FieldError(path: "", problem: " is no number from 0 to \(Number.max)")
        }
        return fitting
    }
}
