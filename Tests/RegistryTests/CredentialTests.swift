import OCI
import Testing

@testable import Registry

private func file(_ text: String) throws -> AuthorizationFile { try AuthorizationFile(json: Array(text.utf8)) }

@Suite struct AuthorizationFileTests {
    private static let alice = Credentials.password(user: "alice", password: "a:b")

    @Test(arguments: [
        (#"{"auths": {"host:5000": {"auth": "YWxpY2U6YTpi"}}}"#, AuthorizationFile.Source.stored(alice)),
        (#"{"auths": {"https://host:5000/v1/": {"auth": "YWxpY2U6YTpi"}}}"#, .stored(alice)),
        (#"{"auths": {"http://host:5000": {"username": "alice", "password": "a:b"}}}"#, .stored(alice)),
        (#"{"auths": {"host:5000/team/app": {"auth": "YWxpY2U6YTpi"}, "host:5000": {"identitytoken": "t"}}}"#, .stored(alice)),
        (#"{"auths": {"host:5000/team": {"auth": "YWxpY2U6YTpi"}, "host:5000": {"identitytoken": "t"}}}"#, .stored(alice)),
        (#"{"auths": {"host:5000/other": {"auth": "YWxpY2U6YTpi"}, "host:5000": {"auth": "", "identitytoken": "t"}}}"#, .stored(.identityToken("t"))),
        (#"{"auths": {"host:5000": {"registrytoken": "r"}}}"#, .stored(.registryToken("r"))),
        (#"{"auths": {"host:5000": {}}, "credsStore": "keyring"}"#, .helper("keyring", server: "host:5000")),
        (#"{"auths": {"host:5000": {"auth": "YWxpY2U6YTpi"}}, "credHelpers": {"host:5000": "one"}}"#, .helper("one", server: "host:5000")),
        (#"{"credsStore": "keyring", "credHelpers": {"elsewhere": "one"}}"#, .helper("keyring", server: "host:5000")),
    ])
    func registries(text: String, expected: AuthorizationFile.Source) throws {
        #expect(try file(text).source(registry: "host:5000", repository: "team/app") == expected)
    }

    @Test(arguments: ["{}", #"{"auths": {"host": {"auth": "YWxpY2U6YTpi"}}}"#, #"{"auths": {"host:5000": {}}}"#])
    func strangers(text: String) throws {
        #expect(try file(text).source(registry: "host:5000", repository: "team/app") == nil)
    }

    @Test(arguments: ["https://index.docker.io/v1/", "docker.io", "index.docker.io", "registry-1.docker.io", "docker.io/library"])
    func namesOfDockerHub(key: String) throws {
        let text = #"{"auths": {"\#(key)": {"auth": "YWxpY2U6YTpi"}}}"#
        #expect(try file(text).source(registry: "docker.io", repository: "library/nginx") == .stored(Self.alice))
        let helper = try file(#"{"credsStore": "keyring"}"#).source(registry: "docker.io", repository: "library/nginx")
        #expect(helper == .helper("keyring", server: "https://index.docker.io/v1/"))
    }

    @Test(arguments: [
        #"{"auths": {"h": {"auth": "c2VjcmV0"}}}"#, #"{"auths": {"h": {"auth": "%%%%"}}}"#, #"{"auths": {"h": 1}}"#, #"{"auths": []}"#, "[", "",
    ])
    func damagedFilesShowNoSecrets(text: String) throws {
        do {
            _ = try file(text)
            Issue.record("accepted: \(text)")
        } catch { #expect(!"\(error)".contains("secret") && !"\(error)".contains("c2VjcmV0")) }
    }

    @Test func base64() {
        #expect(decodeBase64("") == [])
        #expect(decodeBase64("YQ==") == [0x61])
        #expect(decodeBase64("YQ") == [0x61])
        #expect(decodeBase64("+/+/") == [0xFB, 0xFF, 0xBF])
        for bad in ["Y", "YQ=", "YQ===", "Y Q=", "YQ=a", "=", "YWJj="] { #expect(decodeBase64(bad) == nil) }
    }

    @Test(arguments: ["", "a/b", "../x", "a\0b"]) func helpersAreNames(name: String) {
        #expect(throws: RegistryError.self) { try CredentialHelper(name) }
    }

    @Test func whatCannotStandInAHeaderIsNotSent() {
        #expect(Authorization.bearer("abc.DEF-1~+/=").isSendable)
        for token in ["", "a b", "a\r\nb", "a\u{7F}", "ä"] { #expect(!Authorization.bearer(token).isSendable) }
        #expect(Authorization.basic(user: "a", password: "b:ü c").isSendable)
        for user in ["a:b", "a\0"] { #expect(!Authorization.basic(user: user, password: "").isSendable) }
    }

    @Test func formsAreEncoded() {
        #expect(Authorizer.form([("scope", "a/b:pull c"), ("x", "ü&=~")]) == "scope=a%2Fb%3Apull%20c&x=%C3%BC%26%3D~")
    }
}
