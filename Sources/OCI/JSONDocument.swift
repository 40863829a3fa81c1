// Reading fields out of JSON values, with errors that say where.

public enum JSONDocument {
    /// No index, manifest or configuration may be larger: 4 MiB, as registries have it.
    public static let sizeLimit: UInt64 = 4 << 20

    /// Parses `bytes` and builds a value of them; `name` names the document in errors.
    public static func decode<Value>(
        _ bytes: [UInt8], name: String, _ build: (JSONValue) throws(FieldError) -> Value
    ) throws(OCIError) -> Value {
        guard let value = JSONValue(bytes) else { throw .invalid(document: name, detail: "it is not JSON") }
        do throws(FieldError) {
            return try build(value)
        } catch { throw .invalid(document: name, detail: (error.path.isEmpty ? "the document" : error.path) + error.problem) }
    }
}

/// What is wrong with a field.
public struct FieldError: Error, Equatable {
    /// As in `layers[0].digest`; empty for the whole document.
    public var path: String
    /// Continues the path: " is missing".
    public let problem: String

    public init(path: String, problem: String) {
        self.path = path
        self.problem = problem
    }

    public static func wrongType(_ path: String) -> FieldError { FieldError(path: path, problem: " has the wrong type") }

    /// The error of a field within `parent`.
    public func within(_ parent: String) -> FieldError {
        let separator = path.isEmpty || path.utf8.first == UInt8(ascii: "[") ? "" : "."
        return FieldError(path: parent + separator + path, problem: problem)
    }
}

/// An object's fields. Absent and null are the same, as in the Go programs that write these documents; of a name given twice the last one counts.
public struct JSONObject {
    public let members: [JSONValue.Member]

    public init(_ value: JSONValue) throws(FieldError) {
        guard case .object(let members) = value else { throw .wrongType("") }
        self.members = members
    }

    public func value(_ name: String) -> JSONValue? {
        guard let member = members.last(where: { $0.name == name }), member.value != .null else { return nil }
        return member.value
    }

    public func string(_ name: String) throws(FieldError) -> String? {
        guard let value = value(name) else { return nil }
        guard case .string(let text) = value else { throw .wrongType(name) }
        return text
    }

    public func integer(_ name: String) throws(FieldError) -> Int64? {
        guard let value = value(name) else { return nil }
        guard case .integer(let number) = value else { throw .wrongType(name) }
        return number
    }

    public func object<Value>(_ name: String, _ build: (JSONObject) throws(FieldError) -> Value) throws(FieldError) -> Value? {
        guard let value = value(name) else { return nil }
        do throws(FieldError) {
            return try build(JSONObject(value))
        } catch { throw error.within(name) }
    }

    public func list<Value>(_ name: String, _ build: (JSONValue) throws(FieldError) -> Value) throws(FieldError) -> [Value]? {
        guard let value = value(name) else { return nil }
        do throws(FieldError) { return try value.list(build) } catch { throw error.within(name) }
    }

    public func strings(_ name: String) throws(FieldError) -> [String]? { try list(name) { value throws(FieldError) in try value.text() } }

    /// Names and texts.
    public func texts() throws(FieldError) -> [String: String] {
        var texts: [String: String] = [:]
        for member in members {
            do throws(FieldError) { texts[member.name] = try member.value.text() } catch { throw error.within(member.name) }
        }
        return texts
    }

    /// What must be there.
    public func require<Value>(_ name: String, _ value: Value?) throws(FieldError) -> Value {
        guard let value else { throw FieldError(path: name, problem: " is missing") }
        return value
    }
}

extension JSONValue {
    public func text() throws(FieldError) -> String {
        guard case .string(let text) = self else { throw .wrongType("") }
        return text
    }

    public func list<Value>(_ build: (JSONValue) throws(FieldError) -> Value) throws(FieldError) -> [Value] {
        guard case .array(let values) = self else { throw .wrongType("") }
        var list: [Value] = []
        list.reserveCapacity(values.count)
        for (index, value) in values.enumerated() {
            do throws(FieldError) { list.append(try build(value)) } catch { throw error.within("[\(index)]") }
        }
        return list
    }

    public func digest() throws(FieldError) -> Digest {
        let text = try text()
        do throws(OCIError) { return try Digest(text) } catch { throw FieldError(path: "", problem: ": \(error.description)") }
    }
}
