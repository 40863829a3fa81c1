// Reading fields out of JSON values, with errors that say where.

public enum JSONDocument {
    /// No index, manifest or configuration may be larger: 4 MiB, as registries have it.
    public static let sizeLimit: UInt64 = 4 << 20

    /// Parses `bytes` and builds a value of them; `name` names the document in errors.
    package static func decode<Value>(
        _ bytes: [UInt8], name: String, _ build: (JSONValue) throws(FieldError) -> Value
    ) throws(OCIError) -> Value {
        guard let value = JSONValue(bytes) else { throw .invalid(document: name, detail: "it is not JSON") }
        do throws(FieldError) {
            return try build(value)
        } catch { throw .invalid(document: name, detail: (error.path.isEmpty ? "the document" : error.path) + error.problem) }
    }
}

/// What is wrong with a field.
package struct FieldError: Error, Equatable {
    /// As in `layers[0].digest`; empty for the whole document.
    package var path: String
    /// Continues the path: " is missing".
    package let problem: String

    package init(path: String, problem: String) {
        self.path = path
        self.problem = problem
    }

    package static func wrongType(_ path: String) -> FieldError { FieldError(path: path, problem: " has the wrong type") }

    /// The error of a field within `parent`.
    package func within(_ parent: String) -> FieldError {
        let separator = path.isEmpty || path.utf8.first == UInt8(ascii: "[") ? "" : "."
        return FieldError(path: parent + separator + path, problem: problem)
    }
}

/// An object's fields. Absent and null are the same, as in the Go programs that write these documents; of a name given twice the last one counts.
package struct JSONObject {
    package let members: [JSONValue.Member]

    package init(_ value: JSONValue) throws(FieldError) {
        guard case .object(let members) = value else { throw .wrongType("") }
        self.members = members
    }

    package func value(_ name: String) -> JSONValue? {
        guard let member = members.last(where: { $0.name == name }), member.value != .null else { return nil }
        return member.value
    }

    package func string(_ name: String) throws(FieldError) -> String? {
        guard let value = value(name) else { return nil }
        guard case .string(let text) = value else { throw .wrongType(name) }
        return text
    }

    package func integer(_ name: String) throws(FieldError) -> Int64? {
        guard let value = value(name) else { return nil }
        guard case .integer(let number) = value else { throw .wrongType(name) }
        return number
    }

    package func object<Value>(_ name: String, _ build: (JSONObject) throws(FieldError) -> Value) throws(FieldError) -> Value? {
        guard let value = value(name) else { return nil }
        do throws(FieldError) {
            return try build(JSONObject(value))
        } catch { throw error.within(name) }
    }

    package func list<Value>(_ name: String, _ build: (JSONValue) throws(FieldError) -> Value) throws(FieldError) -> [Value]? {
        guard let value = value(name) else { return nil }
        do throws(FieldError) { return try value.list(build) } catch { throw error.within(name) }
    }

    package func strings(_ name: String) throws(FieldError) -> [String]? { try list(name) { value throws(FieldError) in try value.text() } }

    /// Names and texts.
    package func texts() throws(FieldError) -> [String: String] {
        var texts: [String: String] = [:]
        for member in members {
            do throws(FieldError) { texts[member.name] = try member.value.text() } catch { throw error.within(member.name) }
        }
        return texts
    }

    /// What must be there.
    package func require<Value>(_ name: String, _ value: Value?) throws(FieldError) -> Value {
        guard let value else { throw FieldError(path: name, problem: " is missing") }
        return value
    }
}

extension JSONValue {
    package func text() throws(FieldError) -> String {
        guard case .string(let text) = self else { throw .wrongType("") }
        return text
    }

    package func list<Value>(_ build: (JSONValue) throws(FieldError) -> Value) throws(FieldError) -> [Value] {
        guard case .array(let values) = self else { throw .wrongType("") }
        var list: [Value] = []
        list.reserveCapacity(values.count)
        for (index, value) in values.enumerated() {
            do throws(FieldError) { list.append(try build(value)) } catch { throw error.within("[\(index)]") }
        }
        return list
    }

    package func digest() throws(FieldError) -> Digest {
        let text = try text()
        do throws(OCIError) { return try Digest(text) } catch { throw FieldError(path: "", problem: ": \(error.description)") }
    }
}
