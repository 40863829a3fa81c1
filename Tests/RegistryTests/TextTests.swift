import OCI
import Testing

@testable import Registry

@Suite struct TextTests {
    @Test func serversDoNotWriteToTheTerminal() {
        #expect(printable("a\u{1B}[31mb\r\n\u{9B}1m\u{202E}c\u{FEFF}\u{7F}ü") == "a?[31mb???1m?c??ü")
        #expect(printable(String(repeating: "x", count: 5000)).count == 2000)
    }

    @Test func messagesOfServers() {
        func message(_ text: String, _ type: String = "application/json") -> String {
            serverMessage(
                Array(text.utf8),
                Response(
                    status: 500, contentType: type, contentLength: nil, contentDigest: nil, contentRange: nil, challenges: [], redirect: nil,
                    retryAfter: nil))
        }
        #expect(message(#"{"errors": [{"code": "DENIED", "message": "no\u001b"}, {"code": "X"}]}"#) == "DENIED: no?")
        #expect(message(#"{"errors": [{"code": "DENIED"}]}"#) == "DENIED")
        #expect(message(#"{"details": "why"}"#) == "why")
        #expect(message("short text\nmore", "text/plain") == "short text")
        #expect(message("<html>", "text/html") == "")
        #expect(message(#"{"errors": 1}"#) == "")
    }
}
