// Files of credentials: Docker's config.json and containers-auth.json(5), which have the same fields.
import OCI

/// Who asks.
enum Credentials: Equatable, Sendable {
    case password(user: String, password: String)
    /// An OAuth 2 refresh token, which the token server takes in a password's place.
    case identityToken(String)
    /// A bearer token for the registry itself.
    case registryToken(String)
}

struct AuthorizationFile: Equatable, Sendable {
    /// In bytes.
    static let sizeLimit: UInt64 = 4 << 20

    /// Where a registry's credentials are.
    enum Source: Equatable, Sendable {
        case stored(Credentials)
        /// A program `docker-credential-NAME` has them.
        case helper(String, server: String)
    }

    private let entries: [String: Credentials]
    private let helpers: [String: String]
    private let store: String?

    init(json: [UInt8]) throws(OCIError) {
        self = try JSONDocument.decode(json, name: "the file") { value throws(FieldError) in try AuthorizationFile(JSONObject(value)) }
    }

    private init(_ object: JSONObject) throws(FieldError) {
        entries =
            try object.object("auths") { auths throws(FieldError) in
                var entries: [String: Credentials] = [:]
                for member in auths.members {
                    do throws(FieldError) {
                        entries[member.name] = try Self.credentials(JSONObject(member.value))
                    } catch { throw error.within(member.name) }
                }
                return entries
            } ?? [:]
        helpers = try object.object("credHelpers") { fields throws(FieldError) in try fields.texts() } ?? [:]
        store = try object.string("credsStore").flatMap { $0.isEmpty ? nil : $0 }
    }

    /// Nil for an entry without any: `docker login` leaves them empty where a helper keeps the secret.
    private static func credentials(_ object: JSONObject) throws(FieldError) -> Credentials? {
        if let token = try object.string("identitytoken"), !token.isEmpty { return .identityToken(token) }
        if let token = try object.string("registrytoken"), !token.isEmpty { return .registryToken(token) }
        if let text = try object.string("auth"), !text.isEmpty {
            // The value itself must not get into the message.
            guard let bytes = decodeBase64(text), let colon = bytes.firstIndex(of: UInt8(ascii: ":")),
                let user = String(validating: bytes[..<colon], as: UTF8.self),
                let password = String(validating: bytes[(colon + 1)...], as: UTF8.self)
            else { throw FieldError(path: "auth", problem: " is not USER:PASSWORD in Base 64") }
            // Old versions of Docker padded with NULs.
            return .password(user: user, password: String(decoding: password.utf8.prefix { $0 != 0 }, as: UTF8.self))
        }
        guard let user = try object.string("username"), !user.isEmpty, let password = try object.string("password") else { return nil }
        return .password(user: user, password: password)
    }

    /// Nil where the file knows nothing about `repository` of `registry`.
    func source(registry: String, repository: String) -> Source? {
        // A namespace's own entry comes before its registry's (containers-auth.json(5)).
        var scope = "\(registry)/\(repository)"
        while let slash = scope.lastIndex(of: "/") {
            if let credentials = entries[scope] { return .stored(credentials) }
            if let helper = helpers[scope] { return .helper(helper, server: scope) }
            scope = String(scope[..<slash])
        }
        let names = Self.names(of: registry)
        for name in names {
            if let helper = helpers[name], !helper.isEmpty { return .helper(helper, server: names[0]) }
        }
        for name in names {
            if let credentials = entries[name] { return .stored(credentials) }
        }
        // Old entries are URLs.
        let hosts = Set(names)
        for key in entries.keys.sorted() where hosts.contains(Self.host(ofKey: key)) {
            if let credentials = entries[key] { return .stored(credentials) }
        }
        return store.map { .helper($0, server: names[0]) }
    }

    /// What a registry is called in these files, first of all by `docker login`.
    private static func names(of registry: String) -> [String] {
        registry == "docker.io"
            ? ["https://index.docker.io/v1/", "docker.io", "index.docker.io", "registry-1.docker.io"] : [registry]
    }

    private static func host(ofKey key: String) -> String {
        var rest = Substring(key)
        for scheme in ["https://", "http://"] where rest.utf8.starts(with: scheme.utf8) { rest = rest.dropFirst(scheme.count) }
        return String(rest.prefix { $0 != "/" })
    }
}
