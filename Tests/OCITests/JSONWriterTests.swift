import Foundation
import Testing

@testable import OCI

@Suite struct JSONWriterTests {
    private func text(_ value: JSONValue, indented: Bool = false) throws -> String {
        String(decoding: try value.text(limit: 10_000, indented: indented), as: UTF8.self)
    }

    @Test func everyKindOfValue() throws {
        let value = JSONValue.object(
            ("a", .array([.integer(-1), .boolean(true), .boolean(false), .null, .otherNumber])), ("left out", nil), ("b", .strings(["x", "y"])),
            ("c", .object([])), ("d", .array([])))
        #expect(try text(value) == #"{"a":[-1,true,false,null,null],"b":["x","y"],"c":{},"d":[]}"#)
        #expect(
            try text(.object(("a", .array([.integer(1)])), ("b", .object([]))), indented: true) == """
                {
                    "a": [
                        1
                    ],
                    "b": {}
                }
                """)
    }

    /// Whatever a text holds, both parsers read the same text back, and no terminal obeys it.
    @Test(arguments: ["", "\"\\/", "\u{0}\u{1}\u{1F}\u{7F}", "\u{1B}[31m\n\r\t", "é😀\u{FFFD}\u{10FFFF}", "\u{9B}31m\u{202E}\u{2066}\u{2028}"])
    func textsSurvive(content: String) throws {
        let value = JSONValue.array([.string(content)])
        let bytes = try value.text(limit: 1000)
        #expect(JSONValue(bytes) == value)
        #expect(try JSONSerialization.jsonObject(with: Data(bytes)) as? [String] == [content])
        #expect(String(decoding: bytes, as: UTF8.self).unicodeScalars.allSatisfy { !$0.isControl })
    }

    @Test func sizeAndDepthAreBounded() throws {
        #expect(throws: OCIError.unwritable(limit: 10)) { try JSONValue.string("0123456789").text(limit: 10) }
        #expect(try JSONValue.string("01234567").text(limit: 10).count == 10)
        var deep = JSONValue.null
        for _ in 0..<100 { deep = .array([deep]) }
        #expect(throws: OCIError.unwritable(limit: 10_000)) { try text(deep) }
    }

    @Test func descriptorsReadAsTheyWereWritten() throws {
        let descriptor = Descriptor(
            mediaType: "a/b", digest: try Digest("sha256:" + String(repeating: "1", count: 64)), size: 12,
            platform: Platform(operatingSystem: "linux", architecture: "arm64", variant: "v8"), annotations: ["x": "y", "\"": "\n"])
        let index = try ImageIndex(json: JSONValue.object(("manifests", .array([descriptor.json]))).text(limit: 1000), name: "x")
        #expect(index.manifests == [descriptor])
    }
}
