// Where the user's credentials may be, and in which order they are asked.
import Glibc
import LinuxSystem
import OCI

/// Credentials and the place they came from, for messages.
struct FoundCredentials: Equatable, Sendable {
    let credentials: Credentials
    let source: String
}

struct CredentialStore: Sendable {
    private let paths: [String]

    /// $REGISTRY_AUTH_FILE alone where it is set; otherwise Docker's file, then those of podman and skopeo.
    init(environment: [String: String]) {
        func variable(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
        if let path = variable("REGISTRY_AUTH_FILE") {
            paths = [path]
            return
        }
        var paths: [String] = []
        let home = variable("HOME")
        if let directory = variable("DOCKER_CONFIG") ?? home.map({ $0 + "/.docker" }) { paths.append(directory + "/config.json") }
        if let directory = variable("XDG_RUNTIME_DIR") { paths.append(directory + "/containers/auth.json") }
        if let directory = variable("XDG_CONFIG_HOME") ?? home.map({ $0 + "/.config" }) { paths.append(directory + "/containers/auth.json") }
        self.paths = paths
    }

    /// Nil where there are none: the user is anonymous.
    func find(registry: String, repository: String) throws(RegistryError) -> FoundCredentials? {
        for path in paths {
            guard let source = try Self.read(path)?.source(registry: registry, repository: repository) else { continue }
            switch source {
            case .stored(let credentials): return FoundCredentials(credentials: credentials, source: path)
            case .helper(let name, let server):
                guard let credentials = try CredentialHelper(name).get(server) else { continue }
                return FoundCredentials(credentials: credentials, source: "docker-credential-\(name)")
            }
        }
        return nil
    }

    private static func read(_ path: String) throws(RegistryError) -> AuthorizationFile? {
        let json: [UInt8]
        do throws(SystemError) {
            let file = try OwnedDescriptor.open(path, O_RDONLY)
            json = try readAll(file.raw, limit: Int(AuthorizationFile.sizeLimit) + 1)
        } catch {
            if error.errno == ENOENT || error.errno == ENOTDIR { return nil }
            throw .authorizationFile(path: path, problem: error.reason)
        }
        guard json.count <= Int(AuthorizationFile.sizeLimit) else { throw .authorizationFile(path: path, problem: "it is larger than 4 MiB") }
        // An empty file is what `touch` leaves.
        if json.isEmpty { return nil }
        do throws(OCIError) { return try AuthorizationFile(json: json) } catch { throw .authorizationFile(path: path, problem: error.description) }
    }
}
