// Why an image could not be pulled. Each text is a sentence without its full stop: what failed, on which value, what to do.
// Servers choose some of the words: whoever prints a text makes it printable first (`printable`).
public import Images
public import LinuxSystem
public import OCI

public enum RegistryError: Error, Equatable, CustomStringConvertible {
    // The network.
    case unresolvable(host: String)
    case unreachable(host: String, detail: String)
    case noTLS(host: String)
    case interrupted(host: String, detail: String)
    case stalled(host: String, seconds: Int)
    case untrusted(host: String, detail: String)
    case authorities(detail: String)
    case clientCertificate(host: String, detail: String)
    case transfer(host: String, detail: String)

    // Redirects.
    case tooManyRedirects(host: String)
    case redirectToPlainText(from: String, to: String)
    case invalidRedirect(host: String)

    // Refusals.
    case unauthorized(host: String, repository: String, credentials: String?)
    case forbidden(host: String, repository: String, message: String)
    case notFound(what: String, host: String)
    case tooManyRequests(host: String, seconds: Int?)
    case failed(host: String, status: Int, message: String)
    case unexpected(host: String, status: Int, what: String, message: String)

    // Authorization.
    case unsupportedAuthorization(host: String, schemes: [String])
    case invalidToken(host: String, problem: String)
    case insecureTokenServer(host: String, server: String)
    case authorizationFile(path: String, problem: String)
    case credentialHelper(program: String, problem: String)

    // What came.
    case tooLarge(what: String, limit: UInt64)
    case headersTooLarge(host: String)
    case wrongSize(what: String, expected: UInt64, found: UInt64)
    case wrongDigest(what: String, expected: Digest, found: Digest)
    case wrongContent(what: String, problem: String)
    case contradictoryDigest(host: String, claimed: String, found: Digest)
    case document(OCIError)
    case unsupportedMediaType(what: String, mediaType: String)
    case oldManifest
    case noSuchPlatform(wanted: Platform, available: [Platform])
    case nestedTooDeep
    case indexLoop(Digest)
    case tooManyLayers(Int)
    case layerCount(layers: Int, identifiers: Int)

    // This machine.
    case store(StoreError)
    case system(what: String, SystemError)
    case certificateDirectory(path: String, problem: String)

    public var description: String {
        networkDescription ?? refusalDescription ?? contentDescription
    }

    /// What has just happened, where it is tried again: without the advice for who has to give up.
    var cause: String {
        switch self {
        case .unreachable(let host, let detail): "\(host) cannot be reached (\(detail))"
        case .interrupted(let host, _): "\(host) broke the connection off"
        case .stalled(let host, let seconds): "\(host) sent next to nothing for \(seconds) seconds"
        case .failed(let host, let status, let message): "\(host) failed with status \(status)\(Self.quoted(message))"
        case .tooManyRequests(let host, _): "\(host) allows no more requests for now"
        case .wrongSize(let what, let expected, let found): "\(what) ended after \(found) of \(expected) bytes"
        default: description
        }
    }

    private var networkDescription: String? {
        switch self {
        case .unresolvable(let host): "the address of \(host) cannot be found: check the name and the network"
        case .unreachable(let host, let detail): "\(host) cannot be reached (\(detail)): check the name, the network and the proxy settings"
        case .noTLS(let host): "\(host) does not speak HTTPS: use --insecure if it is meant to speak plain HTTP"
        case .interrupted(let host, let detail): "\(host) broke the connection off again and again (\(detail)): pull again to go on from here"
        case .stalled(let host, let seconds): "\(host) sent next to nothing for \(seconds) seconds, again and again: pull again to go on from here"
        case .untrusted(let host, let detail):
            "the certificate of \(host) is not trusted (\(detail)): put its authority into /etc/containers/certs.d/\(host)/ca.crt, or use --insecure"
        case .authorities(let detail):
            "the certificates of this machine's authorities cannot be used (\(detail)): install ca-certificates, or correct SSL_CERT_FILE"
        case .clientCertificate(let host, let detail): "the client certificate for \(host) cannot be used (\(detail)): check its certs.d directory"
        case .transfer(let host, let detail): "the transfer from \(host) failed: \(detail)"
        case .tooManyRedirects(let host): "\(host) redirects in circles (more than \(RegistryClient.redirectLimit) times): ask who runs it"
        case .redirectToPlainText(let from, let to):
            "\(from) redirects from HTTPS to plain HTTP on \(to), which is refused: ask who runs it"
        case .invalidRedirect(let host): "\(host) redirects to no usable address: ask who runs it"
        default: nil
        }
    }

    private var refusalDescription: String? {
        switch self {
        case .unauthorized(let host, let repository, nil):
            "\(host) gives nobody access to \(repository) without logging in (or there is no such repository): log in with 'docker login \(host)' or 'skopeo login \(host)'"
        case .unauthorized(let host, let repository, let source?):
            "\(host) refuses access to \(repository) with the credentials from \(source) (or there is no such repository): log in again"
        case .forbidden(let host, let repository, let message): "\(host) forbids access to \(repository)\(Self.quoted(message)): ask who runs it"
        case .notFound(let what, let host): "\(host) does not have \(what): check the name and the tag"
        case .tooManyRequests(let host, let seconds):
            "\(host) allows no more requests for now: try again \(seconds.map { "in \($0) seconds" } ?? "later"), or log in"
        case .failed(let host, let status, let message):
            "\(host) failed with status \(status)\(Self.quoted(message)), again and again: try again later"
        case .unexpected(let host, let status, let what, let message):
            "\(host) answers the request for \(what) with status \(status)\(Self.quoted(message)): check that it is a registry"
        case .unsupportedAuthorization(let host, let schemes):
            "\(host) asks for an authorization that is not supported (\(schemes.joined(separator: ", "))); Basic and Bearer are"
        case .invalidToken(let host, let problem): "the token server \(host) sent no usable token: \(problem)"
        case .insecureTokenServer(let host, let server):
            "\(host) wants the credentials sent unencrypted to \(server), which is refused: use --insecure if you trust the network"
        case .authorizationFile(let path, let problem): "the credentials in \(path) cannot be used: \(problem): correct the file, or log in again"
        case .credentialHelper(let program, let problem): "the credential helper \(program) failed: \(problem)"
        default: nil
        }
    }

    private var contentDescription: String {
        switch self {
        case .tooLarge(let what, let limit): "\(what) is larger than the \(limit) bytes that are allowed"
        case .headersTooLarge(let host): "\(host) sent more than \(Connection.headersLimit) bytes of headers, which is refused"
        case .wrongSize(let what, let expected, let found):
            "\(what) should have \(expected) bytes, but the registry sends \(found): it is corrupt there, push it again"
        case .wrongDigest(let what, let expected, let found):
            "\(what) should have the digest \(expected), but the registry sent \(found): it is corrupt there, push it again"
        case .wrongContent(let what, let problem):
            "\(what) from the registry is not what its digest says (\(problem)): it is corrupt there, push it again"
        case .contradictoryDigest(let host, let claimed, let found):
            "\(host) says that the manifest has the digest \(claimed.prefix(100)), but it has \(found): it is corrupt there, push it again"
        case .document(let error): "the registry sent what cannot be used: \(error)"
        case .unsupportedMediaType(let what, let mediaType):
            "\(what) has the media type \"\(mediaType.prefix(150))\", which is not supported: it is no container image"
        case .oldManifest:
            "the registry has the image only in Docker's old format (schema 1), which is not supported: push it again with a newer tool"
        case .noSuchPlatform(let wanted, let available):
            "there is no image for \(wanted); there is one for: \(Self.list(available)): choose with --platform, but only linux/amd64 runs here"
        case .nestedTooDeep: "its indexes are nested deeper than \(Pull.nestingLimit) levels, which is refused"
        case .indexLoop(let digest): "the index \(digest) leads back to itself"
        case .tooManyLayers(let count): "it has \(count) layers, but at most \(ImageReference.layerLimit) are supported"
        case .layerCount(let layers, let identifiers):
            "its manifest lists \(layers) layers, its configuration \(identifiers): it is corrupt, push it again"
        case .store(let error): error.description
        case .system(let what, let error): "\(what): \(error.call) failed: \(error.reason)"
        case .certificateDirectory(let path, let problem): "the certificates in \(path) cannot be used: \(problem)"
        default: preconditionFailure("every other case has its text above")
        }
    }

    /// A server's message, where it sent any.
    private static func quoted(_ message: String) -> String { message.isEmpty ? "" : " (\"\(message)\")" }

    private static func list(_ platforms: [Platform]) -> String {
        var names: [String] = []
        for platform in platforms where !names.contains(platform.description) { names.append(platform.description) }
        let shown = names.prefix(20).joined(separator: ", ")
        return names.count > 20 ? shown + ", …" : names.isEmpty ? "none that is named" : shown
    }
}

/// Text from a server that is safe on a terminal: no control characters, none that are invisible, and not endless.
public func printable(_ text: String, limit: Int = 2000) -> String {
    var result = String.UnicodeScalarView()
    for scalar in text.unicodeScalars.prefix(limit) {
        result.append(scalar.isControl || scalar.value == 0xFEFF ? "?" : scalar)
    }
    return String(result)
}
