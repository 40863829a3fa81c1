import Testing

@testable import Registry

@Suite struct ChallengeTests {
    @Test(arguments: [
        (
            #"Bearer realm="https://auth.example/token",service="registry",scope="repository:a/b:pull,push""#,
            [
                Challenge(
                    scheme: "bearer", parameters: ["realm": "https://auth.example/token", "service": "registry", "scope": "repository:a/b:pull,push"])
            ]
        ),
        (#"Basic realm="a \"quoted\" one""#, [Challenge(scheme: "basic", parameters: ["realm": "a \"quoted\" one"])]),
        (
            #"basic Realm = x , Bearer realm=y"#,
            [Challenge(scheme: "basic", parameters: ["realm": "x"]), Challenge(scheme: "bearer", parameters: ["realm": "y"])]
        ),
        (#"Negotiate, Basic realm="x""#, [Challenge(scheme: "negotiate", parameters: [:]), Challenge(scheme: "basic", parameters: ["realm": "x"])]),
        (
            #"Negotiate YWJj==, Basic realm="x""#,
            [Challenge(scheme: "negotiate", parameters: [:]), Challenge(scheme: "basic", parameters: ["realm": "x"])]
        ),
        (#"Bearer realm="x",realm="y""#, [Challenge(scheme: "bearer", parameters: ["realm": "x"])]),
        ("", []), ("\"", []), (",,, ,", []), ("=", []),
    ])
    func challenges(text: String, expected: [Challenge]) {
        #expect(Challenge.parse(text) == expected)
    }

    @Test func anythingEnds() {
        var generator = SystemRandomNumberGenerator()
        let alphabet = Array("Bearer realm=\"\\, \t=abc".utf8)
        for _ in 0..<20_000 {
            let bytes = (0..<Int.random(in: 0...40, using: &generator)).map { _ in alphabet.randomElement(using: &generator) ?? 0 }
            #expect(Challenge.parse(String(decoding: bytes, as: UTF8.self)).count <= 16)
        }
    }
}
