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

    /// A start looks for one name among many entries; what it finds is what reading all of them finds.
    @Test(
        arguments: [
            (#"{"manifests":[]}"#, 0), (#"{"manifests":[E,F,E]}"#, 2), (#" { "a" : [ { "manifests":[E] } ] , "manifests" : [ F , E ] } "#, 1),
            (#"{"manifests":[E],"manifests":[F]}"#, 0), (#"{"manifests":[F,{"digest":"D","size":1e3,"x":{"y":[true,null,"wanted"]}}]}"#, nil),
            (#"{"manifests":[F,{"digest":"D","size":1,"x":{"y":[true,null,"wanted"]}}]}"#, 1),
            (#"{"manifests":[{"digest":"D","size":1,"x":"\"wanted\""}]}"#, 0), (#"{}"#, nil), (#"{"manifests":[E"#, nil), (#"{"manifests":[E]"#, nil),
            (#"{"manifests":[E]}}"#, nil), (#"[]"#, nil), (#""#, nil), (#"{"manifests":["wanted"#, nil), (#"{"manifests":["wanted\"#, nil),
        ] as [(String, Int?)])
    func entriesAreFoundByAWord(text: String, count: Int?) throws {
        let digest = "sha256:" + String(repeating: "1", count: 64)
        let json = text.replacingOccurrences(of: "E", with: #"{"digest":"D","size":1,"annotations":{"a":"wanted"}}"#)
            .replacingOccurrences(of: "F", with: #"{"digest":"D","size":1,"annotations":{"a":"other"}}"#).replacingOccurrences(of: "D", with: digest)
        let found = try? ImageIndex.entries(of: Array(json.utf8), saying: ["nothing", "wanted"], name: "index")
        #expect(found?.count == count)
    }

    @Test func nestingIsBoundedInASearchToo() throws {
        let json = Array(#"{"manifests":["#.utf8) + [UInt8](repeating: UInt8(ascii: "["), count: 1 << 20)
        #expect(try ImageIndex.entries(of: json, saying: ["x"], name: "index") == nil)
    }

    @Test func descriptorsReadAsTheyWereWritten() throws {
        let descriptor = Descriptor(
            mediaType: "a/b", digest: try Digest("sha256:" + String(repeating: "1", count: 64)), size: 12,
            platform: Platform(operatingSystem: "linux", architecture: "arm64", variant: "v8"), annotations: ["x": "y", "\"": "\n"])
        let index = try ImageIndex(json: JSONValue.object(("manifests", .array([descriptor.json]))).text(limit: 1000), name: "x")
        #expect(index.manifests == [descriptor])
    }
}
