// One repository of one registry: requests with authorization, redirects and retries (OCI distribution specification 1.1, "Pull").
import CCurl
import Glibc
import LinuxSystem
import OCI
import Synchronization

/// What becomes of a request that has to be repeated.
typealias WaitObserver = (_ milliseconds: Int, _ reason: RegistryError) -> Void

final class RegistryClient: Sendable {
    static let redirectLimit = 10

    /// As in the image's name.
    let registry: String
    let repository: String

    private let trust: Trust
    private let environment: [String: String]
    private let authorizer: Authorizer
    /// Where the registry answers; settled once it has.
    private let endpoint: Mutex<Endpoint>

    private struct Endpoint {
        var address: Address
        var isSettled = false
    }

    init(registry: String, repository: String, isInsecure: Bool, environment: [String: String]) throws(RegistryError) {
        // SAFETY: called before the first thread is started; more than once does no harm.
        guard ccurl_initialize() == CURLE_OK else {
            throw .system(what: "libcurl cannot be started", SystemError(call: "curl_global_init", errno: ENOMEM))
        }
        // The one registry whose name is not its address.
        let host = registry == "docker.io" ? "registry-1.docker.io" : registry
        guard let address = Address("https://\(host)/") else { throw .unresolvable(host: registry) }
        self.registry = registry
        self.repository = repository
        self.environment = environment
        trust = Trust(isInsecure: isInsecure, environment: environment)
        authorizer = Authorizer(registry: registry, repository: repository, credentials: CredentialStore(environment: environment))
        endpoint = Mutex(Endpoint(address: address))
    }

    /// Where the registry is, for messages.
    var host: String { endpoint.withLock { $0.address.authority } }

    /// A request below `/v2/REPOSITORY/`. The response may be a refusal, but never a temporary one or a redirect.
    func send(
        _ path: String, _ connection: Connection, into body: any ResponseBody, onWait: WaitObserver,
        _ prepare: (inout Request) -> Void
    ) throws(RegistryError) -> (response: Response, message: [UInt8]) {
        try retrying(onWait) { () throws(TransferFailure) in
            try self.attempt(path, connection, into: body, onWait: onWait, prepare)
        }
    }

    /// One attempt: no retries, but with redirects, authorization, and plain HTTP where HTTPS isn't spoken and the user allows it.
    func attempt(
        _ path: String, _ connection: Connection, into body: any ResponseBody, onWait: WaitObserver,
        _ prepare: (inout Request) -> Void
    ) throws(TransferFailure) -> (response: Response, message: [UInt8]) {
        var (address, isSettled) = endpoint.withLock { ($0.address, $0.isSettled) }
        while true {
            do throws(TransferFailure) {
                let answer = try authorized(path, at: address, connection, into: body, onWait: onWait, prepare)
                if !isSettled { endpoint.withLock { $0 = Endpoint(address: address, isSettled: true) } }
                return answer
            } catch {
                guard error.lacksTLS, !isSettled, address.scheme == .https, trust.allowsPlainText(address) else { throw error }
                // A port that was named stays; the default one follows the scheme.
                address = Address(scheme: .http, host: address.host, port: address.hasDefaultPort ? 80 : address.port)
            }
        }
    }

    private func authorized(
        _ path: String, at address: Address, _ connection: Connection, into body: any ResponseBody, onWait: WaitObserver,
        _ prepare: (inout Request) -> Void
    ) throws(TransferFailure) -> (response: Response, message: [UInt8]) {
        let url = "\(address.scheme.rawValue)://\(address.authority)/v2/\(repository)/\(path)"
        guard var request = Request(url) else { throw .permanent(.unresolvable(host: registry)) }
        prepare(&request)
        var attempt = authorizer.current
        // Without; with a token that has expired meanwhile; with a new one.
        for _ in 0..<3 {
            request.authorization = attempt.authorization
            let (response, message, isElsewhere) = try follow(request, connection, into: body)
            guard response.status == 401, !isElsewhere else { return (response, message) }
            do throws(RegistryError) {
                let next = try authorizer.answer(response.challenges, to: attempt, from: address) { request, body throws(RegistryError) in
                    try self.askTokenServer(request, body, registry: address, connection, onWait)
                }
                guard let next else { break }
                attempt = next
            } catch { throw .permanent(error) }
        }
        throw .permanent(.unauthorized(host: registry, repository: repository, credentials: authorizer.source))
    }

    private func askTokenServer(
        _ request: Request, _ body: DocumentBody, registry: Address, _ connection: Connection, _ onWait: WaitObserver
    ) throws(RegistryError) -> (response: Response, message: [UInt8]) {
        if request.address.scheme == .http, !trust.allowsPlainText(request.address) {
            throw .insecureTokenServer(host: registry.authority, server: request.address.authority)
        }
        return try retrying(onWait) { () throws(TransferFailure) in
            let (response, message, _) = try self.follow(request, connection, into: body)
            return (response, message)
        }
    }

    // MARK: Redirects

    /// Credentials go to the host that the request names, and to no other; nothing goes from HTTPS to plain HTTP.
    private func follow(
        _ original: Request, _ connection: Connection, into body: any ResponseBody
    ) throws(TransferFailure) -> (response: Response, message: [UInt8], isElsewhere: Bool) {
        var request = original
        var isElsewhere = false
        for _ in 0...Self.redirectLimit {
            let security: TransportSecurity
            do throws(RegistryError) { security = try trust.security(for: request.address) } catch { throw .permanent(error) }
            let proxy = ProxyChoice(for: request.address, environment: environment)
            let (response, message) = try connection.perform(request, security, proxy: proxy, into: body)
            guard [301, 302, 303, 307, 308].contains(response.status) else { return (response, message, isElsewhere) }
            // A form holds secrets: it goes nowhere else.
            if case .post = request.method { return (response, message, isElsewhere) }

            guard let target = response.redirect, let address = Address(target) else {
                throw .permanent(.invalidRedirect(host: request.address.authority))
            }
            if request.address.scheme == .https, address.scheme == .http {
                throw .permanent(.redirectToPlainText(from: request.address.authority, to: address.authority))
            }
            if address != request.address {
                isElsewhere = true
                // Not given back on a way that returns: the other host has chosen where it leads.
                request.authorization = .none
            }
            request.url = target
            request.address = address
        }
        throw .permanent(.tooManyRedirects(host: original.address.authority))
    }

    // MARK: Retries

    /// Repeats `body` while it fails for a while: transfers that break off, servers that are busy. `hasProgressed` tells after a failure
    /// whether the attempt was worth something all the same.
    func retrying(
        _ onWait: WaitObserver, _ hasProgressed: () -> Bool = { false },
        _ body: () throws(TransferFailure) -> (response: Response, message: [UInt8])
    ) throws(RegistryError) -> (response: Response, message: [UInt8]) {
        var retry = Retry()
        while true {
            let reason: RegistryError
            var wish: Int?
            do throws(TransferFailure) {
                let (response, message) = try body()
                if !Retry.isTemporary(response.status) { return (response, message) }
                wish = response.retryAfter
                reason =
                    response.status == 429
                    ? .tooManyRequests(host: host, seconds: wish)
                    : .failed(host: host, status: response.status, message: serverMessage(message, response))
            } catch {
                if !error.isTemporary { throw error.error }
                reason = error.error
            }
            if hasProgressed() { retry.progressed() }
            guard let delay = retry.delay(wish: wish) else { throw reason }
            onWait(delay, reason)
            Retry.sleep(milliseconds: delay)
        }
    }

    /// The error for a response that is no success.
    func refusal(_ response: Response, _ message: [UInt8], what: String) -> RegistryError {
        let text = serverMessage(message, response)
        switch response.status {
        case 401: return .unauthorized(host: host, repository: repository, credentials: authorizer.source)
        case 403: return .forbidden(host: host, repository: repository, message: text)
        case 404: return .notFound(what: what, host: host)
        default: return .unexpected(host: host, status: response.status, what: what, message: text)
        }
    }
}

extension TransferFailure {
    static func permanent(_ error: RegistryError) -> TransferFailure { TransferFailure(error: error) }
}
