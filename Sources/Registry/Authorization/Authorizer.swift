// Answers challenges: basic authentication, or a token from the server that the registry names (the distribution project's "Token Authentication
// Specification" and "OAuth2 Token Authentication"). Credentials are looked up only when somebody asks for them.
import OCI
import Synchronization

final class Authorizer: Sendable {
    /// What was last sent, and which one that was.
    struct Attempt: Sendable {
        let authorization: Authorization
        fileprivate let number: Int
    }

    private struct State {
        var authorization = Authorization.none
        var number = 0
        /// Outer nil: not looked up yet.
        var found: FoundCredentials??
    }

    private let registry: String
    private let repository: String
    private let credentials: CredentialStore
    private let state = Mutex(State())

    private static let tokenLimit: UInt64 = 1 << 20
    /// Some servers show it to their users.
    private static let clientIdentifier = "swiftlet"

    init(registry: String, repository: String, credentials: CredentialStore) {
        self.registry = registry
        self.repository = repository
        self.credentials = credentials
    }

    var current: Attempt { state.withLock { Attempt(authorization: $0.authorization, number: $0.number) } }

    /// Where the credentials came from; nil while there are none.
    var source: String? { state.withLock { $0.found.flatMap { $0?.source } } }

    /// What to send instead of `attempt`, which `address` has refused; nil where there is nothing better. `ask` sends a request to a token server.
    func answer(
        _ challenges: [String], to attempt: Attempt, from address: Address,
        _ ask: (Request, DocumentBody) throws(RegistryError) -> (response: Response, message: [UInt8])
    ) throws(RegistryError) -> Attempt? {
        let challenges = challenges.flatMap(Challenge.parse)
        // One thread asks, the others wait and take what it got.
        return try state.withLock { state throws(RegistryError) -> Attempt? in
            if state.number == attempt.number {
                guard let next = try choose(challenges, address, &state, ask), next != attempt.authorization else { return nil }
                guard next.isSendable else { throw .invalidToken(host: registry, problem: "it holds characters that no header may have") }
                state.authorization = next
                state.number += 1
            }
            return Attempt(authorization: state.authorization, number: state.number)
        }
    }

    private func choose(
        _ challenges: [Challenge], _ address: Address, _ state: inout State,
        _ ask: (Request, DocumentBody) throws(RegistryError) -> (response: Response, message: [UInt8])
    ) throws(RegistryError) -> Authorization? {
        let found: FoundCredentials?
        if let known = state.found {
            found = known
        } else {
            found = try credentials.find(registry: registry, repository: repository)
            state.found = .some(found)
        }
        if let challenge = challenges.first(where: { $0.scheme == "bearer" && $0.parameter("realm") != nil }) {
            if case .registryToken(let token) = found?.credentials { return .bearer(token) }
            return .bearer(try token(challenge, found, ask))
        }
        if challenges.contains(where: { $0.scheme == "basic" }) {
            guard case .password(let user, let password) = found?.credentials else { return nil }
            return .basic(user: user, password: password)
        }
        if challenges.isEmpty { return nil }
        throw .unsupportedAuthorization(host: address.authority, schemes: challenges.map(\.scheme))
    }

    private func token(
        _ challenge: Challenge, _ found: FoundCredentials?,
        _ ask: (Request, DocumentBody) throws(RegistryError) -> (response: Response, message: [UInt8])
    ) throws(RegistryError) -> String {
        let realm = challenge.parameter("realm") ?? ""
        guard var request = Request(realm) else {
            throw .invalidToken(host: registry, problem: "the registry names \"\(realm.prefix(200))\" as its address")
        }
        let scopes = (challenge.parameter("scope") ?? "repository:\(repository):pull").split(separator: " ").map(String.init)
        var fields: [(String, String)] = []
        if let service = challenge.parameter("service") { fields.append(("service", service)) }
        request.timeLimit = 60
        switch found?.credentials {
        case .identityToken(let token):
            fields += [("scope", scopes.joined(separator: " ")), ("client_id", Self.clientIdentifier)]
            fields += [("grant_type", "refresh_token"), ("refresh_token", token)]
            request.method = .post(Self.form(fields))
        case .password(let user, let password):
            fields += scopes.map { ("scope", $0) } + [("account", user), ("client_id", Self.clientIdentifier)]
            request.authorization = .basic(user: user, password: password)
            request.append(query: Self.form(fields))
        case .registryToken, nil:
            fields += scopes.map { ("scope", $0) }
            request.append(query: Self.form(fields))
        }
        guard request.authorization.isSendable else {
            throw .authorizationFile(path: found?.source ?? "", problem: "the user's name or the password holds a character that cannot be sent")
        }

        let body = DocumentBody("the token", limit: Self.tokenLimit)
        let (response, message) = try ask(request, body)
        guard response.isSuccess else {
            if response.status == 400 || response.status == 401 || response.status == 403 {
                throw .unauthorized(host: registry, repository: repository, credentials: found?.source)
            }
            throw .unexpected(
                host: request.address.authority, status: response.status, what: "a token", message: serverMessage(message, response))
        }
        return try Self.decode(body.bytes, from: request.address)
    }

    private static func decode(_ json: [UInt8], from address: Address) throws(RegistryError) -> String {
        do throws(OCIError) {
            return try JSONDocument.decode(json, name: "its answer") { value throws(FieldError) in
                let object = try JSONObject(value)
                for name in ["token", "access_token"] {
                    if let token = try object.string(name), !token.isEmpty { return token }
                }
                throw FieldError(path: "token", problem: " is missing")
            }
        } catch { throw .invalidToken(host: address.authority, problem: error.description) }
    }

    /// application/x-www-form-urlencoded.
    static func form(_ fields: [(String, String)]) -> String {
        fields.map { "\($0)=\(percentEncoded($1))" }.joined(separator: "&")
    }

    private static func percentEncoded(_ text: String) -> String {
        var encoded: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"):
                encoded.append(byte)
            default: encoded += [UInt8(ascii: "%")] + Array(hexadecimalText([byte]).uppercased().utf8)
            }
        }
        return String(decoding: encoded, as: UTF8.self)
    }
}

extension Request {
    mutating func append(query: String) {
        url += (url.utf8.contains(UInt8(ascii: "?")) ? "&" : "?") + query
    }
}

/// What the body of a refusal says: the distribution specification's errors ("Error Codes"), or a short plain text. Never markup.
func serverMessage(_ body: [UInt8], _ response: Response) -> String {
    if let value = JSONValue(body), let object = try? JSONObject(value) {
        let texts = try? object.list("errors") { item throws(FieldError) in
            let error = try JSONObject(item)
            let code = try error.string("code") ?? ""
            let message = try error.string("message") ?? ""
            return code.isEmpty || message.isEmpty ? code + message : "\(code): \(message)"
        }
        if let first = texts?.first { return printable(first, limit: 200) }
        if let details = try? object.string("details") ?? object.string("message") { return printable(details, limit: 200) }
        return ""
    }
    guard response.contentType == "text/plain" else { return "" }
    return printable(String(decoding: body.prefix { $0 != 0x0A && $0 != 0x0D }, as: UTF8.self), limit: 200)
}
