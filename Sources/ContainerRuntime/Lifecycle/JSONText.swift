// JSON on standard output.
import OCI

enum JSONText {
    private static let limit = 64 << 20

    static func line(_ value: JSONValue) throws(ContainerError) -> String { try text(value, indented: false) }
    static func indented(_ value: JSONValue) throws(ContainerError) -> String { try text(value, indented: true) }

    private static func text(_ value: JSONValue, indented: Bool) throws(ContainerError) -> String {
        do throws(OCIError) { return String(decoding: try value.text(limit: limit, indented: indented), as: UTF8.self) + "\n" } catch {
            throw .container(error.description)
        }
    }
}
