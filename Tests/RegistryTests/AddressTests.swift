import Testing

@testable import Registry

@Suite struct AddressTests {
    @Test(arguments: [
        ("https://Example.ORG/v2/", Address(scheme: .https, host: "example.org", port: 443), "example.org"),
        ("http://example.org:5000", Address(scheme: .http, host: "example.org", port: 5000), "example.org:5000"),
        ("https://[::1]:5000/x", Address(scheme: .https, host: "[::1]", port: 5000), "[::1]:5000"),
        ("http://127.1/", Address(scheme: .http, host: "127.0.0.1", port: 80), "127.0.0.1"),
    ])
    func parts(url: String, expected: Address, authority: String) {
        #expect(Address(url) == expected)
        #expect(Address(url)?.authority == authority)
    }

    @Test(arguments: [
        "", "/relative", "ftp://example.org/", "file:///etc/passwd", "https://user:word@example.org/", "https://", "https://a b/", "https://h:99999/",
        "gopher://x",
        "https://h:0/",
    ])
    func refused(url: String) {
        #expect(Address(url) == nil)
    }

    @Test(arguments: [
        ("localhost", true), ("127.0.0.1", true), ("127.255.0.9", true), ("[::1]", true), ("128.0.0.1", false), ("127.example.org", false),
        ("127.0.0.1.example.org", false), ("localhost.example.org", false), ("0.0.0.0", false), ("127.0.0.256", false),
    ])
    func loopback(host: String, expected: Bool) {
        #expect(Address(scheme: .https, host: host, port: 443).isLoopback == expected)
    }

    @Test func proxies() {
        let (plain, secure) = (Address(scheme: .http, host: "h", port: 80), Address(scheme: .https, host: "h", port: 443))
        #expect(ProxyChoice(for: plain, environment: ["HTTP_PROXY": "http://p"]) == .url("http://p"))
        #expect(ProxyChoice(for: plain, environment: ["HTTP_PROXY": "http://p", "http_proxy": "http://q"]) == .environment)
        #expect(ProxyChoice(for: secure, environment: ["HTTP_PROXY": "http://p"]) == .environment)
        #expect(ProxyChoice(for: Address(scheme: .http, host: "localhost", port: 80), environment: ["HTTP_PROXY": "http://p"]) == .none)
    }

    @Test func contentRanges() {
        #expect(ContentRange("bytes 500-999/1000")?.first == 500)
        #expect(ContentRange("Bytes 0-0/*")?.first == 0)
        for bad in ["", "bytes", "bytes */1000", "bytes -5/10", "items 1-2/3", "bytes 99999999999999999999-1/2"] { #expect(ContentRange(bad) == nil) }
    }

    @Test func delaysDoubleAndEnd() {
        var retry = Retry()
        let delays = (0..<Retry.attempts).map { _ in retry.delay() }
        #expect(delays.dropLast().allSatisfy { $0 != nil } && delays.last == .some(nil))
        for (index, delay) in delays.dropLast().enumerated() { #expect((500 << index...625 << index).contains(delay ?? 0)) }
        retry.progressed()
        #expect(retry.delay(wish: 7) == 7000)
        #expect(retry.delay(wish: Retry.longestWish + 1) == nil)
        #expect([200, 307, 400, 401, 404, 501, 505].allSatisfy { !Retry.isTemporary($0) })
        #expect([408, 429, 500, 502, 503, 504].allSatisfy(Retry.isTemporary))
    }
}
