// Profiles as JSON: the OCI runtime specification's `linux.seccomp` (config-linux.md), and Docker's form of it with conditions.
public import OCI

extension SeccompProfile {
    /// No profile needs more; the file's size is bounded by JSONDocument.sizeLimit besides.
    static let ruleLimit = 4096
    static let nameLimit = 16384

    /// `path` names the file in errors.
    public init(json: [UInt8], path: String) throws(ConfinementError) {
        let name = "the seccomp profile \(path)"
        guard json.count <= Int(JSONDocument.sizeLimit) else { throw .profile(.invalid(document: name, detail: "it exceeds 4 MiB")) }
        do throws(OCIError) {
            self = try JSONDocument.decode(json, name: name) { value throws(FieldError) in try SeccompProfile(JSONObject(value)) }
        } catch { throw .profile(error) }
    }

    /// `linux.seccomp` of a config.json.
    public init(configuration value: JSONValue) throws(ConfinementError) {
        do throws(FieldError) { self = try SeccompProfile(JSONObject(value)) } catch {
            throw .profile(.invalid(document: "config.json", detail: error.within("linux.seccomp").path + error.problem))
        }
    }

    private init(_ object: JSONObject) throws(FieldError) {
        let number = try Self.errorNumber(object, "defaultErrnoRet")
        let action = try object.require("defaultAction", try object.string("defaultAction"))
        defaultAction = try SeccompAction(action, errorNumber: number, field: "defaultAction")
        if object.value("listenerPath") != nil {
            throw FieldError(path: "listenerPath", problem: ": nobody in the machine could answer: notifications are not supported")
        }
        let list = try object.list("syscalls") { item throws(FieldError) in try Self.rule(JSONObject(item)) } ?? []
        guard list.count <= Self.ruleLimit else { throw FieldError(path: "syscalls", problem: " has more than \(Self.ruleLimit) rules") }
        rules = list.compactMap { $0 }
        guard rules.reduce(0, { $0 + $1.names.count }) <= Self.nameLimit else {
            throw FieldError(path: "syscalls", problem: " has more than \(Self.nameLimit) names")
        }
        // Docker's archMap says which others come along; without either list, the native architecture alone, as runc has it.
        let architectures = try object.strings("architectures") ?? []
        let map = try object.list("archMap") { item throws(FieldError) in
            let entry = try JSONObject(item)
            return try entry.string("architecture") == "SCMP_ARCH_X86_64" ? try entry.strings("subArchitectures") ?? [] : []
        }
        coversX86 = architectures.contains("SCMP_ARCH_X86") || (map ?? []).joined().contains("SCMP_ARCH_X86")
    }

    /// Nil for a rule that is not for this machine.
    private static func rule(_ object: JSONObject) throws(FieldError) -> SeccompRule? {
        var names = try object.strings("names") ?? []
        if let name = try object.string("name") { names.append(name) }
        guard !names.isEmpty else { throw FieldError(path: "names", problem: " is missing") }
        let number = try errorNumber(object, "errnoRet")
        let action = try SeccompAction(
            try object.require("action", try object.string("action")), errorNumber: number, field: "action")
        var rule = SeccompRule(names, action)
        rule.arguments = try object.list("args") { item throws(FieldError) in try SeccompArgument(JSONObject(item)) } ?? []
        guard rule.arguments.count <= 64 else { throw FieldError(path: "args", problem: " has more than 64 entries") }
        // Every kernel that a profile could ask for (`minKernel`) is older than the guest's.
        var applies = true
        let includes = try object.object("includes") { fields throws(FieldError) in
            let architectures = try fields.strings("arches")
            if let architectures, !architectures.contains("amd64") { applies = false }
            return try capabilities(fields)
        }
        let excludes = try object.object("excludes") { fields throws(FieldError) in
            let architectures = try fields.strings("arches") ?? []
            if architectures.contains("amd64") || fields.value("minKernel") != nil { applies = false }
            return try capabilities(fields)
        }
        rule.includes = includes ?? []
        rule.excludes = excludes ?? []
        return applies ? rule : nil
    }

    private static func capabilities(_ condition: JSONObject) throws(FieldError) -> CapabilitySet {
        let sets = try condition.list("caps") { item throws(FieldError) in
            let name = try item.text()
            guard let capability = CapabilitySet(name: name) else { throw FieldError(path: "", problem: ": unknown capability") }
            return capability
        }
        return (sets ?? []).reduce(into: []) { $0.formUnion($1) }
    }

    private static func errorNumber(_ object: JSONObject, _ field: String) throws(FieldError) -> UInt16? {
        guard let number = try object.integer(field) else { return nil }
        guard (0...4095).contains(number) else { throw FieldError(path: field, problem: " is no error number") }
        return UInt16(number)
    }
}

extension SeccompAction {
    /// EPERM where no number is given, as the specification says.
    fileprivate init(_ name: String, errorNumber: UInt16?, field: String) throws(FieldError) {
        switch name {
        case "SCMP_ACT_ALLOW": self = .allow
        case "SCMP_ACT_ERRNO": self = .error(errorNumber ?? 1)
        case "SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD": self = .killThread
        case "SCMP_ACT_KILL_PROCESS": self = .killProcess
        case "SCMP_ACT_TRAP": self = .trap
        case "SCMP_ACT_LOG": self = .log
        case "SCMP_ACT_TRACE": self = .trace(errorNumber ?? 1)
        case "SCMP_ACT_NOTIFY": throw FieldError(path: field, problem: ": SCMP_ACT_NOTIFY is not supported: nobody in the machine could answer")
        default: throw FieldError(path: field, problem: ": it is no action of the runtime specification")
        }
    }
}

extension SeccompArgument {
    fileprivate init(_ object: JSONObject) throws(FieldError) {
        let index = try object.require("index", try object.integer("index"))
        guard (0...5).contains(index) else { throw FieldError(path: "index", problem: " is not 0 to 5") }
        let value = try Self.value(object, "value")
        let second = try Self.value(object, "valueTwo")
        let comparison: Comparison =
            switch try object.require("op", try object.string("op")) {
            case "SCMP_CMP_NE": .notEqual
            case "SCMP_CMP_LT": .less
            case "SCMP_CMP_LE": .lessOrEqual
            case "SCMP_CMP_EQ": .equal
            case "SCMP_CMP_GE": .greaterOrEqual
            case "SCMP_CMP_GT": .greater
            case "SCMP_CMP_MASKED_EQ": .masked(value)
            default: throw FieldError(path: "op", problem: ": it is no operator of the runtime specification")
            }
        if case .masked = comparison {
            self.init(index: UInt32(index), comparison, second)
        } else {
            self.init(index: UInt32(index), comparison, value)
        }
    }

    /// Unsigned, up to 64 bits; the parser of JSON has signed integers.
    private static func value(_ object: JSONObject, _ field: String) throws(FieldError) -> UInt64 {
        guard object.value(field) != .otherNumber else { throw FieldError(path: field, problem: " is no integer below 2^63") }
        return UInt64(bitPattern: try object.integer(field) ?? 0)
    }
}
