// "Control groups" of the OCI runtime specification (config-linux.md): `linux.resources`, and what `update --resources` is given.

public struct RuntimeResources: Equatable, Sendable {
    /// A rule of the list `devices`.
    public struct DeviceRule: Equatable, Sendable {
        public var allow: Bool
        /// a, c, b, u or p; empty means a.
        public var type: String
        public var major: Int64?
        public var minor: Int64?
        /// Of r, w and m.
        public var access: String
    }

    /// How fast a device of the host may be read or written: bytes or operations a second.
    public struct Throttle: Equatable, Sendable {
        public enum Kind: String, Sendable, CaseIterable {
            case readBytes = "throttleReadBpsDevice"
            case writeBytes = "throttleWriteBpsDevice"
            case readOperations = "throttleReadIOPSDevice"
            case writeOperations = "throttleWriteIOPSDevice"
        }

        public var kind: Kind
        public var major: UInt32
        public var minor: UInt32
        public var rate: UInt64
    }

    /// In bytes; zero and less: no limit.
    public var memory: Int64?
    public var memoryReservation: Int64?
    public var quota: Int64?
    public var period: UInt64?
    public var shares: UInt64?
    /// As in `0-3,7`; empty: all.
    public var processors = ""
    public var memoryNodes = ""
    public var processes: Int64?
    public var diskWeight: UInt64?
    public var throttles: [Throttle] = []
    /// Bytes for each size of page, as in `2MB`.
    public var hugePages: [String: UInt64] = [:]
    public var unified: [String: String] = [:]
    public var devices: [DeviceRule] = []
    /// What can't be done here, each as a field and the reason.
    public var refusals: [FieldError] = []

    public init() {}

    private static let refused: [(path: [String], reason: String)] = [
        (["network"], "network classes are not supported"),
        (["rdma"], "RDMA is not supported"),
        (["blockIO", "weightDevice"], "weights of single devices are not supported"),
        (["cpu", "realtimeRuntime"], "realtime limits are not supported"),
        (["cpu", "realtimePeriod"], "realtime limits are not supported"),
    ]

    /// A document of its own.
    public init(json: [UInt8], name: String) throws(OCIError) {
        self = try JSONDocument.decode(json, name: name) { value throws(FieldError) in try RuntimeResources(JSONObject(value)) }
    }

    init(_ object: JSONObject) throws(FieldError) {
        _ = try object.object("memory") { fields throws(FieldError) in
            memory = try fields.integer("limit")
            memoryReservation = try fields.integer("reservation")
        }
        _ = try object.object("cpu") { fields throws(FieldError) in
            quota = try fields.integer("quota")
            period = try fields.unsigned("period")
            shares = try fields.unsigned("shares")
            processors = try fields.string("cpus") ?? ""
            memoryNodes = try fields.string("mems") ?? ""
        }
        processes = try object.object("pids") { fields throws(FieldError) in try fields.integer("limit") } ?? nil
        _ = try object.object("blockIO") { fields throws(FieldError) in
            diskWeight = try fields.unsigned("weight")
            for kind in Throttle.Kind.allCases { throttles += try Self.throttles(kind, fields) }
        }
        for (size, limit) in try object.list("hugepageLimits", { item throws(FieldError) in try Self.hugePage(JSONObject(item)) }) ?? [] {
            hugePages[size] = limit
        }
        unified = try object.object("unified") { fields throws(FieldError) in try fields.texts() } ?? [:]
        for name in unified.keys where name.contains("/") || name.hasPrefix("cgroup.") || !name.contains(".") {
            throw FieldError(path: "unified", problem: " names \"\(name)\", which is no file of a cgroup's controller")
        }
        devices =
            try object.list("devices") { item throws(FieldError) in
                let fields = try JSONObject(item)
                return DeviceRule(
                    allow: try fields.boolean("allow"), type: try fields.string("type") ?? "", major: try fields.integer("major"),
                    minor: try fields.integer("minor"), access: try fields.string("access") ?? "rwm")
            } ?? []
        refusals = object.refusals(Self.refused)
    }

    private static func throttles(_ kind: Throttle.Kind, _ object: JSONObject) throws(FieldError) -> [Throttle] {
        try object.list(kind.rawValue) { item throws(FieldError) in
            let fields = try JSONObject(item)
            return Throttle(
                kind: kind, major: try fields.unsigned("major") ?? 0, minor: try fields.unsigned("minor") ?? 0, rate: try fields.unsigned("rate") ?? 0
            )
        } ?? []
    }

    private static func hugePage(_ fields: JSONObject) throws(FieldError) -> (String, UInt64) {
        let size = try fields.require("pageSize", try fields.string("pageSize"))
        guard !size.isEmpty, size.utf8.allSatisfy({ ($0 >= 0x30 && $0 <= 0x39) || ($0 >= 0x41 && $0 <= 0x5A) }) else {
            throw FieldError(path: "pageSize", problem: " \"\(size)\" is no size as in 2MB")
        }
        return (size, try fields.limit("limit"))
    }
}
