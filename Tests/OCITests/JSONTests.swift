import Foundation
import Testing

@testable import OCI

@Suite struct JSONTests {
    @Test func everyKindOfValue() {
        let text = #" {"a" : [1, -2.5e3, true, false, null, "x\n\u00e9\ud83d\ude00\"/\\"], "b":{}, "":[] } "#
        let expected = JSONValue.object([
            .init(name: "a", value: .array([.integer(1), .otherNumber, .boolean(true), .boolean(false), .null, .string("x\né😀\"/\\")])),
            .init(name: "b", value: .object([])), .init(name: "", value: .array([])),
        ])
        #expect(JSONValue(Array(text.utf8)) == expected)
    }

    @Test(arguments: [
        "", " ", "{", "}", "[1,]", "{\"a\":1,}", "{a:1}", "[1 2]", "01", "-", "1.", ".5", "1e", "+1", "nul", "truex", "\"", "\"\\\"", "\"\\x\"",
        "\"\\u12\"",
        "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"a\nb\"", "[] []", "\u{FEFF}{}", "NaN", "[\"a\":1]", "{\"a\",1}", "'a'", "/**/1",
    ])
    func everythingElseIsRefused(text: String) {
        #expect(JSONValue(Array(text.utf8)) == nil)
    }

    @Test func nestingIsBounded() {
        #expect(JSONValue(Array((String(repeating: "[", count: 32) + String(repeating: "]", count: 32)).utf8)) != nil)
        #expect(JSONValue(Array((String(repeating: "[", count: 33) + String(repeating: "]", count: 33)).utf8)) == nil)
    }

    @Test(arguments: [
        ("9223372036854775807", JSONValue.integer(.max)), ("-9223372036854775808", .integer(.min)), ("9223372036854775808", .otherNumber),
        ("-0", .integer(0)), ("1E+2", .otherNumber),
    ])
    func numbers(text: String, expected: JSONValue) {
        #expect(JSONValue(Array(text.utf8)) == expected)
    }

    @Test func ofNamesGivenTwiceTheLastCounts() throws {
        let value = try #require(JSONValue(Array(#"{"a": "x", "a": "y", "b": 1, "b": null}"#.utf8)))
        let object = try JSONObject(value)
        #expect(try object.string("a") == "y")
        #expect(try object.string("b") == nil)
    }

    /// Another parser must agree on which texts are JSON, whatever a few changed bytes make of them.
    @Test func agreesWithFoundationOnSpoiltDocuments() {
        let seed = Array(#"{"a": [1, -2.5e3, true, null, "x\n\u00e9\ud83d\ude00"], "b": {"c": "d", "e": [[], {}]}, "f": 0}"#.utf8)
        let alphabet = Array(#"{}[],:"\0123456789eE+-.tfnul /u "#.utf8) + [0x0A, 0x00, 0x1F, 0x80, 0xC3, 0xFF]
        var state: UInt64 = 1
        func random(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        for _ in 0..<20_000 {
            var text = seed
            for _ in 0...random(3) {
                switch random(3) {
                case 0: text[random(text.count)] = alphabet[random(alphabet.count)]
                case 1: text.remove(at: random(text.count))
                default: text.insert(alphabet[random(alphabet.count)], at: random(text.count))
                }
            }
            let accepted = JSONValue(text) != nil
            let theirs = (try? JSONSerialization.jsonObject(with: Data(text), options: .fragmentsAllowed)) != nil
            // Foundation lets a comma stand before a closing bracket; RFC 8259 doesn't.
            let hasTrailingComma = String(decoding: text, as: UTF8.self).contains(#/,\s*[}\]]/#)
            #expect(accepted == (theirs && !hasTrailingComma), "\(String(decoding: text, as: UTF8.self))")
        }
    }
}
