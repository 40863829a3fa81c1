// The one place that parses JSON. What it gets is bounded by the caller (JSONDocument.sizeLimit) and untrusted.
import FoundationEssentials

public enum JSONDocument {
    /// No index, manifest or configuration may be larger: 4 MiB, as registries have it.
    public static let sizeLimit: UInt64 = 4 << 20

    /// Decodes `bytes`; `name` names the document in errors.
    static func decode<Value: Decodable>(_ type: Value.Type, _ bytes: [UInt8], name: String) throws(OCIError) -> Value {
        do {
            return try JSONDecoder().decode(type, from: Data(bytes))
        } catch {
            throw .invalid(document: name, detail: explain(error))
        }
    }

    private static func explain(_ error: any Error) -> String {
        guard let error = error as? DecodingError else { return "it is not JSON" }
        switch error {
        case .keyNotFound(let key, let context): return "\(path(context.codingPath + [key])) is missing"
        case .typeMismatch(_, let context): return "\(path(context.codingPath)) has the wrong type"
        case .valueNotFound(_, let context): return "\(path(context.codingPath)) is null"
        case .dataCorrupted(let context):
            return context.codingPath.isEmpty ? "it is not JSON" : "\(path(context.codingPath)): \(context.debugDescription)"
        @unknown default: return "it is not JSON"
        }
    }

    private static func path(_ keys: [any CodingKey]) -> String {
        if keys.isEmpty { return "the document" }
        var text = ""
        for key in keys {
            if let index = key.intValue {
                text += "[\(index)]"
            } else {
                text += (text.isEmpty ? "" : ".") + key.stringValue
            }
        }
        return text
    }
}
