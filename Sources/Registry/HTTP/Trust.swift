// Whom to believe: certificates for each host, and where no encryption is asked for. Docker's rules (certs.d, insecure registries), one stricter:
// a host on loopback whose authority is named is verified like any other.
import Glibc
import LinuxSystem

/// What one host's TLS is checked against.
struct TransportSecurity: Equatable, Sendable {
    struct ClientCertificate: Equatable, Sendable {
        /// Paths of PEM files.
        let certificate: String
        let key: String
    }

    var verifies = true
    /// PEM, in addition to the system's.
    var authorities: [UInt8] = []
    /// A PEM file in place of the system's.
    var authorityFile: String?
    var clientCertificate: ClientCertificate?
}

/// The proxy for one host.
enum ProxyChoice: Equatable, Sendable {
    /// As libcurl reads it from the environment.
    case environment
    case none
    case url(String)

    /// libcurl ignores HTTP_PROXY in capitals, which a CGI program's client could set; this is no CGI program. Loopback is never asked for
    /// through a proxy, as in Go's programs.
    init(for address: Address, environment: [String: String]) {
        if address.isLoopback {
            self = .none
        } else if address.scheme == .http, environment["http_proxy"] == nil, let url = environment["HTTP_PROXY"], !url.isEmpty {
            self = .url(url)
        } else {
            self = .environment
        }
    }
}

struct Trust: Sendable {
    /// `--insecure`: certificates are not checked, and plain HTTP will do where HTTPS fails.
    let isInsecure: Bool
    /// The ones that count first come first.
    let directories: [String]
    private let authorityFile: String?

    /// In bytes: one file of certificates.
    private static let fileLimit = 1 << 20

    init(isInsecure: Bool, environment: [String: String]) {
        self.isInsecure = isInsecure
        let home = environment["HOME"].map { ["\($0)/.config/containers/certs.d"] } ?? []
        directories = home + ["/etc/containers/certs.d", "/etc/docker/certs.d"]
        // Go's and OpenSSL's programs know it; libcurl's default is fixed when it is built.
        authorityFile = environment["SSL_CERT_FILE"].flatMap { $0.isEmpty ? nil : $0 }
    }

    /// Whether plain HTTP is allowed for `address`.
    func allowsPlainText(_ address: Address) -> Bool { isInsecure || address.isLoopback }

    func security(for address: Address) throws(RegistryError) -> TransportSecurity {
        var security = TransportSecurity()
        if address.scheme == .http { return security }
        let names = address.hasDefaultPort ? [address.host, "\(address.host):\(address.port)"] : [address.authority]
        for directory in directories {
            for name in names { try read("\(directory)/\(name)", into: &security) }
        }
        security.authorityFile = authorityFile
        if !security.authorities.isEmpty, let file = authorityFile {
            // libcurl takes one or the other.
            security.authorities += [0x0A]
            security.authorities += try readFile(file)
        }
        security.verifies = !isInsecure && !(address.isLoopback && security.authorities.isEmpty)
        return security
    }

    /// `*.crt`: authorities; `NAME.cert` and `NAME.key`: what this client shows.
    private func read(_ directory: String, into security: inout TransportSecurity) throws(RegistryError) {
        let names = Self.list(directory).sorted()
        for name in names where name.hasSuffix(".crt") {
            security.authorities += try readFile("\(directory)/\(name)")
            security.authorities.append(0x0A)
        }
        for name in names where name.hasSuffix(".cert") && security.clientCertificate == nil {
            let key = name.dropLast(5) + ".key"
            guard names.contains(String(key)) else {
                throw .certificateDirectory(path: directory, problem: "\(name) needs \(key) beside it: add the key")
            }
            security.clientCertificate = .init(certificate: "\(directory)/\(name)", key: "\(directory)/\(key)")
        }
    }

    private func readFile(_ path: String) throws(RegistryError) -> [UInt8] {
        do throws(SystemError) {
            let file = try OwnedDescriptor.open(path, O_RDONLY)
            return try readAll(file.raw, limit: Self.fileLimit)
        } catch { throw .certificateDirectory(path: path, problem: error.reason) }
    }

    /// The files' names; none where there is no such directory.
    private static func list(_ directory: String) -> [String] {
        var names: [String] = []
        // SAFETY: the stream is closed after its last use; each entry's name ends with a NUL and is copied before the next is read.
        guard let stream = unsafe opendir(directory) else { return [] }
        defer { unsafe _ = closedir(stream) }
        while let entry = unsafe readdir(stream), names.count < 1000 {
            let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { unsafe Array($0.prefix { $0 != 0 }) }
            names.append(String(decoding: name, as: UTF8.self))
        }
        return names
    }
}
