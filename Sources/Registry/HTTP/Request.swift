// One HTTP exchange: what is asked, what comes back.

/// Proves to a server who asks.
enum Authorization: Equatable, Sendable {
    case none
    case basic(user: String, password: String)
    case bearer(String)

    /// Only what can stand in a header and in a C string: a token comes from a server, a password from a file.
    var isSendable: Bool {
        switch self {
        case .none: true
        case .basic(let user, let password): !user.utf8.contains(0) && !password.utf8.contains(0) && !user.utf8.contains(UInt8(ascii: ":"))
        case .bearer(let token): !token.isEmpty && token.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
        }
    }
}

struct Request: Sendable {
    enum Method: Equatable, Sendable {
        case get
        case head
        /// With a form (application/x-www-form-urlencoded).
        case post(String)
    }

    var method = Method.get
    var url: String
    var address: Address
    /// Values of `Accept`.
    var accepted: [String] = []
    var authorization = Authorization.none
    /// In bytes: where the wanted part begins (RFC 9110, section 14.2).
    var offset: UInt64 = 0
    /// In seconds, for the whole exchange; nil: only stalling ends it.
    var timeLimit: Int?

    /// Nil unless `url` can be asked.
    init?(_ url: String, accepting accepted: [String] = []) {
        guard let address = Address(url) else { return nil }
        self.url = url
        self.address = address
        self.accepted = accepted
    }
}

/// The head of a response.
struct Response: Equatable, Sendable {
    let status: Int
    /// Without parameters, lower case; empty where there is none.
    let contentType: String
    /// In bytes; nil where the server didn't say.
    let contentLength: UInt64?
    /// `Docker-Content-Digest` of the distribution specification.
    let contentDigest: String?
    let contentRange: String?
    /// Values of `WWW-Authenticate`.
    let challenges: [String]
    /// An absolute URL.
    let redirect: String?
    /// In seconds, from either form of `Retry-After`.
    let retryAfter: Int?

    var isSuccess: Bool { (200...299).contains(status) }
}

/// Takes a response's body while it arrives.
protocol ResponseBody: AnyObject {
    /// Called once, before the first byte; not called for a response without a body.
    func begin(_ response: Response) throws(RegistryError)
    /// `bytes` are valid during the call only.
    func receive(_ bytes: UnsafeRawBufferPointer) throws(RegistryError)
}

/// Keeps a bounded body in memory.
final class DocumentBody: ResponseBody {
    private let what: String
    private let limit: UInt64
    private(set) var bytes: [UInt8] = []

    /// `what` names the document in errors; `limit` in bytes.
    init(_ what: String, limit: UInt64) {
        self.what = what
        self.limit = limit
    }

    func begin(_ response: Response) throws(RegistryError) {
        bytes = []
        if let length = response.contentLength, length > limit { throw .tooLarge(what: what, limit: limit) }
    }

    func receive(_ bytes: UnsafeRawBufferPointer) throws(RegistryError) {
        guard UInt64(self.bytes.count) + UInt64(bytes.count) <= limit else { throw .tooLarge(what: what, limit: limit) }
        // SAFETY: copies the bytes during the call.
        unsafe self.bytes.append(contentsOf: bytes)
    }
}
