// Where a request goes: the parts of a URL that decide about credentials and certificates. Parsed by libcurl, so that both mean the same.
import CCurl

struct Address: Equatable, Hashable, Sendable, CustomStringConvertible {
    enum Scheme: String, Sendable { case http, https }

    let scheme: Scheme
    /// Lower case; IPv6 addresses in brackets.
    let host: String
    let port: Int

    init(scheme: Scheme, host: String, port: Int) {
        self.scheme = scheme
        self.host = host
        self.port = port
    }

    /// Nil unless `url` is an absolute http or https URL without a user.
    init?(_ url: String) {
        // SAFETY: curl_url makes an object that only this call sees and that it frees; the strings it hands out are copied and freed.
        guard let parts = unsafe curl_url() else { return nil }
        defer { unsafe curl_url_cleanup(parts) }
        guard unsafe curl_url_set(parts, CURLUPART_URL, url, UInt32(CURLU_DISALLOW_USER)) == CURLUE_OK else { return nil }
        func part(_ which: CURLUPart) -> String? {
            var text: UnsafeMutablePointer<CChar>?
            guard unsafe curl_url_get(parts, which, &text, UInt32(CURLU_DEFAULT_PORT)) == CURLUE_OK, let text = unsafe text else { return nil }
            defer { unsafe curl_free(text) }
            return unsafe String(cString: text)
        }
        guard let scheme = part(CURLUPART_SCHEME).flatMap(Scheme.init), let host = part(CURLUPART_HOST), !host.isEmpty,
            let port = part(CURLUPART_PORT).flatMap(Int.init), (1...65535).contains(port)
        else { return nil }
        self.init(scheme: scheme, host: host.lowercased(), port: port)
    }

    var hasDefaultPort: Bool { port == (scheme == .https ? 443 : 80) }

    /// `HOST` or `HOST:PORT`, as registries are named.
    var authority: String { hasDefaultPort ? host : "\(host):\(port)" }

    var description: String { authority }

    /// Names this machine, by address or by the one name that is reserved for it (RFC 6761, section 6.3).
    var isLoopback: Bool {
        if host == "localhost" || host == "[::1]" { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
        return parts.count == 4 && !parts.contains(nil) && parts[0] == 127
    }
}
