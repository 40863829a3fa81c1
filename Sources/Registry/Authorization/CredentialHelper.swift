// Credential helpers: programs that keep secrets for Docker and its relatives (https://github.com/docker/docker-credential-helpers, "Development").
// `docker-credential-NAME get` reads the server's name and prints {"ServerURL", "Username", "Secret"}.
import CLinux
import Glibc
import LinuxSystem
import OCI

struct CredentialHelper {
    private let program: String

    /// In bytes.
    private static let outputLimit = 1 << 20

    /// The name comes from the user's own file; it must still not be a path.
    init(_ name: String) throws(RegistryError) {
        program = "docker-credential-" + name
        guard !name.isEmpty, !name.utf8.contains(UInt8(ascii: "/")), !name.utf8.contains(0) else {
            throw .credentialHelper(program: program, problem: "this is no program's name: correct credsStore and credHelpers")
        }
    }

    /// Nil where the helper has none for `server`.
    func get(_ server: String) throws(RegistryError) -> Credentials? {
        let (status, output) = try run("get", input: server + "\n")
        guard status == 0 else {
            let text = String(decoding: output.prefix(500), as: UTF8.self)
            // Helpers say this on standard output, and nothing else tells "none" from "broken".
            if text.contains("credentials not found") { return nil }
            throw .credentialHelper(program: program, problem: status == 127 ? "it is not installed" : "exit status \(status), \"\(text)\"")
        }
        return try decode(output)
    }

    private func decode(_ output: [UInt8]) throws(RegistryError) -> Credentials? {
        let (user, secret): (String, String)
        do throws(OCIError) {
            (user, secret) = try JSONDocument.decode(output, name: "its answer") { value throws(FieldError) in
                let object = try JSONObject(value)
                return (try object.string("Username") ?? "", try object.require("Secret", object.string("Secret")))
            }
        } catch { throw .credentialHelper(program: program, problem: error.description) }
        if secret.isEmpty { return nil }
        return user == "<token>" ? .identityToken(secret) : .password(user: user, password: secret)
    }

    private func run(_ command: String, input: String) throws(RegistryError) -> (status: Int32, output: [UInt8]) {
        do throws(SystemError) {
            // Files in memory, not pipes: a helper may end without reading, and leave an agent running that keeps its output open.
            let request = try OwnedDescriptor.memory(named: "swiftlet-credential-request")
            let answer = try OwnedDescriptor.memory(named: "swiftlet-credential-answer")
            // At an offset: the helper finds the file's own at the beginning.
            try writeAt(request.raw, offset: 0, Array(input.utf8))
            let pid = try start(command, input: request.raw, output: answer.raw)
            var status: Int32 = 0
            // SAFETY: waitpid writes one int.
            try systemCall("waitpid") { unsafe waitpid(pid, &status, 0) }
            let output = try readAt(answer.raw, offset: 0, count: Self.outputLimit)
            return (status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + (status & 0x7F), output)
        } catch {
            throw .credentialHelper(program: program, problem: error.errno == ENOENT ? "it is not installed" : error.description)
        }
    }

    /// The helper is found in PATH and gets the whole environment: it has to find its user's keyring.
    private func start(_ command: String, input: Int32, output: Int32) throws(SystemError) -> pid_t {
        // SAFETY: the objects are initialised before and destroyed after use; the vector's strings are freed after the call that reads them.
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO)
        unsafe posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        // Our SIGPIPE is ignored; that would be inherited.
        var defaults = sigset_t()
        unsafe sigemptyset(&defaults)
        unsafe sigaddset(&defaults, SIGPIPE)
        unsafe posix_spawnattr_setsigdefault(&attributes, &defaults)
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF))
        var arguments = unsafe [strdup(program), strdup(command), nil]
        defer { unsafe arguments.forEach { unsafe free($0) } }
        var pid: pid_t = 0
        let code = unsafe posix_spawnp(&pid, program, &actions, &attributes, &arguments, clinux_environment())
        // posix_spawn returns the error instead of setting errno.
        if code != 0 { throw SystemError(call: "posix_spawn", subject: program, errno: code) }
        return pid
    }
}
