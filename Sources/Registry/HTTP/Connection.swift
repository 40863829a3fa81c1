// HTTP by libcurl: one easy handle, which keeps its connections open between requests. Blocking; each thread has its own.
import CCurl
import Glibc
import LinuxSystem

/// A transfer that came to no response.
struct TransferFailure: Error, Equatable {
    let error: RegistryError
    /// It might go better next time.
    var isTemporary = false
    /// Nobody listens there, or what listens speaks no TLS.
    var lacksTLS = false
}

@safe final class Connection {
    /// In bytes, for one response. Registries and their storages send a few kilobytes.
    static let headersLimit = 256 << 10
    /// In bytes: as much as is kept of the body of a refusal.
    static let messageLimit = 16 << 10
    /// In bytes a second: a transfer that stays below it for `stallSeconds` has stalled.
    private static let lowSpeed = 1024
    /// In seconds, for the name, the connection and TLS together.
    private static let connectLimit = 15

    private let handle: UnsafeMutableRawPointer
    /// libcurl writes its sentence about a failure here.
    private let errorText: UnsafeMutablePointer<CChar>
    private let stallSeconds: Int

    init(stallSeconds: Int) throws(RegistryError) {
        // SAFETY: the handle and the buffer belong to this object, which frees both; curl_global_init has been called by RegistryClient.
        guard let handle = unsafe curl_easy_init() else {
            throw .system(what: "libcurl cannot be started", SystemError(call: "curl_easy_init", errno: ENOMEM))
        }
        unsafe self.handle = handle
        unsafe errorText = .allocate(capacity: Int(CCURL_ERROR_SIZE))
        unsafe errorText.initialize(repeating: 0, count: Int(CCURL_ERROR_SIZE))
        self.stallSeconds = stallSeconds
    }

    deinit {
        // SAFETY: see init; no transfer is under way.
        unsafe curl_easy_cleanup(handle)
        unsafe errorText.deallocate()
    }

    /// The response, and of a refusal what its body said.
    func perform(
        _ request: Request, _ security: TransportSecurity, proxy: ProxyChoice, into body: any ResponseBody
    ) throws(TransferFailure) -> (response: Response, message: [UInt8]) {
        let exchange = unsafe Exchange(handle, body)
        // SAFETY: the lists live until the transfer has ended, the exchange too; libcurl copies every text.
        unsafe curl_easy_reset(handle)
        unsafe errorText[0] = 0
        setGeneral(request, proxy)
        setSecurity(security)
        setAuthorization(request.authorization)
        var headers: UnsafeMutablePointer<curl_slist>?
        for type in request.accepted { unsafe headers = curl_slist_append(headers, "Accept: \(type)") }
        unsafe ccurl_set_list(handle, CURLOPT_HTTPHEADER, headers)
        defer { unsafe curl_slist_free_all(headers) }
        let code = withExtendedLifetime(exchange) {
            let context = unsafe Unmanaged.passUnretained(exchange).toOpaque()
            unsafe ccurl_set_receiver(handle, CURLOPT_HEADERFUNCTION, receiveHeader)
            unsafe ccurl_set_pointer(handle, CURLOPT_HEADERDATA, context)
            unsafe ccurl_set_receiver(handle, CURLOPT_WRITEFUNCTION, receiveBody)
            unsafe ccurl_set_pointer(handle, CURLOPT_WRITEDATA, context)
            return unsafe curl_easy_perform(handle)
        }
        if let failure = exchange.failure { throw TransferFailure(error: failure) }
        let response = exchange.response()
        // The rest of a refusal's text is of no interest, nor how its transfer ended.
        if code != CURLE_OK, !(exchange.hasBegun && !response.isSuccess) { throw failure(code, request.address) }
        return (response, exchange.message)
    }

    // MARK: Options

    private func set(_ option: CURLoption, _ value: Int) {
        // SAFETY: the handle is ours; the option takes a long.
        unsafe ccurl_set_long(handle, option, value)
    }

    private func set(_ option: CURLoption, _ value: String) {
        // SAFETY: the handle is ours; libcurl copies the text.
        unsafe ccurl_set_text(handle, option, value)
    }

    private func setGeneral(_ request: Request, _ proxy: ProxyChoice) {
        set(CURLOPT_URL, request.url)
        set(CURLOPT_PROTOCOLS_STR, "http,https")
        // Redirects are followed by RegistryClient, which decides anew about credentials and certificates for each host.
        set(CURLOPT_FOLLOWLOCATION, 0)
        set(CURLOPT_NOSIGNAL, 1)
        set(CURLOPT_USERAGENT, "swiftlet")
        set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
        set(CURLOPT_BUFFERSIZE, 256 << 10)
        set(CURLOPT_CONNECTTIMEOUT, min(Self.connectLimit, max(stallSeconds, 1)))
        set(CURLOPT_LOW_SPEED_LIMIT, Self.lowSpeed)
        set(CURLOPT_LOW_SPEED_TIME, stallSeconds)
        if let limit = request.timeLimit { set(CURLOPT_TIMEOUT, limit) }
        // SAFETY: the buffer lives as long as the handle.
        unsafe ccurl_set_pointer(handle, CURLOPT_ERRORBUFFER, errorText)
        switch proxy {
        case .environment: break
        case .none: set(CURLOPT_NOPROXY, "*")
        case .url(let url): set(CURLOPT_PROXY, url)
        }
        if request.offset > 0 { set(CURLOPT_RANGE, "\(request.offset)-") }
        switch request.method {
        case .get: break
        case .head: set(CURLOPT_NOBODY, 1)
        case .post(let form): set(CURLOPT_COPYPOSTFIELDS, form)
        }
    }

    private func setSecurity(_ security: TransportSecurity) {
        if !security.verifies {
            set(CURLOPT_SSL_VERIFYPEER, 0)
            set(CURLOPT_SSL_VERIFYHOST, 0)
        }
        if let file = security.authorityFile { set(CURLOPT_CAINFO, file) }
        if !security.authorities.isEmpty {
            // SAFETY: libcurl copies the bytes. They come beside the system's directory of authorities, in place of its file.
            unsafe security.authorities.withUnsafeBytes { unsafe _ = ccurl_set_blob(handle, CURLOPT_CAINFO_BLOB, $0.baseAddress, $0.count) }
        }
        if let certificate = security.clientCertificate {
            set(CURLOPT_SSLCERT, certificate.certificate)
            set(CURLOPT_SSLKEY, certificate.key)
        }
    }

    private func setAuthorization(_ authorization: Authorization) {
        switch authorization {
        case .none: break
        case .basic(let user, let password):
            set(CURLOPT_HTTPAUTH, Int(CCURL_AUTH_BASIC))
            set(CURLOPT_USERNAME, user)
            set(CURLOPT_PASSWORD, password)
        case .bearer(let token):
            set(CURLOPT_HTTPAUTH, Int(CCURL_AUTH_BEARER))
            set(CURLOPT_XOAUTH2_BEARER, token)
        }
    }

    // MARK: Failures

    private func failure(_ code: CURLcode, _ address: Address) -> TransferFailure {
        // SAFETY: libcurl ends its text with a NUL, and both texts outlive the copies.
        let detail = unsafe errorText[0] == 0 ? String(cString: curl_easy_strerror(code)) : String(cString: errorText)
        let host = address.authority
        switch code {
        case CURLE_COULDNT_RESOLVE_HOST: return TransferFailure(error: .unresolvable(host: host), lacksTLS: true)
        case CURLE_SSL_CONNECT_ERROR where detail.contains("wrong version number"):
            // OpenSSL's way of saying that what came is no TLS. Other handshakes that break off may have met a bad moment.
            return TransferFailure(error: .noTLS(host: host), lacksTLS: true)
        case CURLE_OPERATION_TIMEDOUT where unsafe ccurl_get_offset(handle, CURLINFO_PRETRANSFER_TIME_T) <= 0:
            return TransferFailure(error: .unreachable(host: host, detail: detail), isTemporary: true, lacksTLS: true)
        case CURLE_COULDNT_RESOLVE_PROXY, CURLE_COULDNT_CONNECT, CURLE_SSL_CONNECT_ERROR:
            return TransferFailure(error: .unreachable(host: host, detail: detail), isTemporary: true, lacksTLS: true)
        case CURLE_OPERATION_TIMEDOUT: return TransferFailure(error: .stalled(host: host, seconds: stallSeconds), isTemporary: true)
        case CURLE_PEER_FAILED_VERIFICATION: return TransferFailure(error: .untrusted(host: host, detail: detail))
        case CURLE_SSL_CACERT_BADFILE: return TransferFailure(error: .authorities(detail: detail))
        case CURLE_SSL_CERTPROBLEM:
            return TransferFailure(error: .clientCertificate(host: host, detail: detail))
        case CURLE_GOT_NOTHING, CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_PARTIAL_FILE, CURLE_HTTP2, CURLE_HTTP2_STREAM, CURLE_HTTP3,
            CURLE_WEIRD_SERVER_REPLY:
            return TransferFailure(error: .interrupted(host: host, detail: detail), isTemporary: true)
        default: return TransferFailure(error: .transfer(host: host, detail: detail))
        }
    }
}

/// What libcurl's callbacks know of the transfer that is under way.
@safe private final class Exchange {
    private let handle: UnsafeMutableRawPointer
    private let body: any ResponseBody
    private var headerBytes = 0
    private(set) var hasBegun = false
    private(set) var isRefusal = false
    private(set) var failure: RegistryError?
    private(set) var message: [UInt8] = []

    init(_ handle: UnsafeMutableRawPointer, _ body: any ResponseBody) {
        unsafe self.handle = handle
        self.body = body
    }

    /// False ends the transfer.
    func receiveHeader(_ count: Int) -> Bool {
        headerBytes += count
        if headerBytes <= Connection.headersLimit { return true }
        // SAFETY: the handle is in use by this thread, and its URL is a copy.
        let host = unsafe ccurl_get_text(handle, CURLINFO_EFFECTIVE_URL).flatMap { unsafe Address(String(cString: $0)) }
        failure = .headersTooLarge(host: host?.authority ?? "the server")
        return false
    }

    func receive(_ bytes: UnsafeRawBufferPointer) -> Bool {
        do throws(RegistryError) {
            if !hasBegun {
                hasBegun = true
                let response = response()
                isRefusal = !response.isSuccess
                if !isRefusal { try body.begin(response) }
            }
            if isRefusal {
                // SAFETY: copies the bytes during the call.
                unsafe message.append(contentsOf: bytes.prefix(Connection.messageLimit - min(message.count, Connection.messageLimit)))
                return message.count < Connection.messageLimit
            }
            unsafe try body.receive(bytes)
            return true
        } catch {
            failure = error
            return false
        }
    }

    func response() -> Response {
        // SAFETY: what libcurl lends is copied at once; the handle is in use by this thread only.
        func header(_ name: String, _ index: Int = 0) -> String? { unsafe ccurl_get_header(handle, name, index).map { unsafe String(cString: $0) } }
        var challenges: [String] = []
        while challenges.count < 16, let challenge = header("WWW-Authenticate", challenges.count) { challenges.append(challenge) }
        let length = unsafe ccurl_get_offset(handle, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T)
        let wait = unsafe ccurl_get_offset(handle, CURLINFO_RETRY_AFTER)
        let type = header("Content-Type") ?? ""
        return Response(
            status: unsafe ccurl_get_long(handle, CURLINFO_RESPONSE_CODE),
            contentType: String(decoding: type.utf8.prefix { $0 != UInt8(ascii: ";") && $0 != 0x20 }, as: UTF8.self).lowercased(),
            contentLength: length < 0 ? nil : UInt64(length),
            contentDigest: header("Docker-Content-Digest"),
            contentRange: header("Content-Range"),
            challenges: challenges,
            redirect: unsafe ccurl_get_text(handle, CURLINFO_REDIRECT_URL).map { unsafe String(cString: $0) },
            retryAfter: wait > 0 ? Int(wait) : nil)
    }
}

// SAFETY: both get what perform set: the exchange, which outlives the transfer, and bytes that are valid during the call.
private func receiveHeader(bytes: UnsafeMutablePointer<CChar>?, size: Int, count: Int, context: UnsafeMutableRawPointer?) -> Int {
    guard let context = unsafe context else { return 0 }
    return unsafe Unmanaged<Exchange>.fromOpaque(context).takeUnretainedValue().receiveHeader(size * count) ? size * count : 0
}

private func receiveBody(bytes: UnsafeMutablePointer<CChar>?, size: Int, count: Int, context: UnsafeMutableRawPointer?) -> Int {
    guard let context = unsafe context else { return 0 }
    let exchange = unsafe Unmanaged<Exchange>.fromOpaque(context).takeUnretainedValue()
    return unsafe exchange.receive(UnsafeRawBufferPointer(start: bytes, count: size * count)) ? size * count : 0
}
