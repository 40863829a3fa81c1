// Servers on loopback for the tests of this target. Each ends with its standard input, which is a pipe from this process: none outlives it, however it ends.
import Foundation
import Synchronization

/// Holds everything the servers and their images need; removed when the tests end.
enum Scratch {
    static let directory: String = {
        let path = NSTemporaryDirectory() + "swiftlet-registry-tests-\(getpid())"
        do { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false) } catch { fatalError("\(error)") }
        atexit { try? FileManager.default.removeItem(atPath: Scratch.directory) }
        return path
    }()

    private static let counter = Mutex(0)

    /// A new directory.
    static func make(_ name: String) -> String {
        let number = counter.withLock { value in
            value += 1
            return value
        }
        let path = "\(directory)/\(name)-\(number)"
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        return path
    }
}

/// A program of the machine, found in PATH, that must succeed; returns its output.
@discardableResult
func tool(_ words: String..., input: String? = nil) throws -> String { try tool(words, input: input) }

@discardableResult
func tool(_ words: [String], input: String? = nil) throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = words
    let (output, error, stdin) = (Pipe(), Pipe(), Pipe())
    process.standardOutput = output
    process.standardError = error
    process.standardInput = stdin
    try process.run()
    if let input { stdin.fileHandleForWriting.write(Data(input.utf8)) }
    try stdin.fileHandleForWriting.close()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    let errorText = String(decoding: error.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { throw ToolFailure(description: "\(words.joined(separator: " ")): \(errorText)\(text)") }
    return text
}

struct ToolFailure: Error, CustomStringConvertible { let description: String }

/// A running server process.
class Server: @unchecked Sendable {
    let port: Int
    let log: String
    private let process = Process()
    private let input = Pipe()

    /// `port` finds the port in the log's text.
    init(_ name: String, _ words: [String], log: String, environment: [String: String] = [:], port: (String) -> Int?) throws {
        self.log = log
        try Data().write(to: URL(fileURLWithPath: log))
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = words
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardInput = input
        let output = try FileHandle(forWritingTo: URL(fileURLWithPath: log))
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let deadline = Date(timeIntervalSinceNow: 30)
        while true {
            if let found = port((try? String(contentsOfFile: log, encoding: .utf8)) ?? "") {
                self.port = found
                return
            }
            guard process.isRunning, Date() < deadline else {
                throw ToolFailure(description: "\(name) did not start: \((try? String(contentsOfFile: log, encoding: .utf8)) ?? "")")
            }
            usleep(10_000)
        }
    }

    var logText: String { (try? String(contentsOfFile: log, encoding: .utf8)) ?? "" }
}

/// Certificates for this run, made by openssl: an authority, a server on loopback's addresses, a client.
enum Certificates {
    static let directory: String = {
        let path = Scratch.make("certificates")
        do {
            try tool(
                "sh", "-euc",
                """
                cd "$0"
                openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=test authority' -keyout ca.key -out ca.crt
                for name in server client; do
                    openssl req -newkey rsa:2048 -nodes -subj "/CN=$name" -keyout $name.key -out $name.csr
                    echo 'subjectAltName=IP:127.0.0.1,IP:0.0.0.0,DNS:localhost' >$name.ext
                    openssl x509 -req -in $name.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile $name.ext -out $name.crt
                done
                """, path)
        } catch { fatalError("\(error)") }
        return path
    }()
}

/// Debian's docker-registry.
final class DebianRegistry: Server, @unchecked Sendable {
    enum Kind { case plain, secured, mutual, password }

    init(_ kind: Kind) throws {
        let directory = Scratch.make("registry")
        var configuration = """
            version: 0.1
            log: {level: info, accesslog: {disabled: false}}
            storage: {filesystem: {rootdirectory: \(directory)/data}}
            http:
              addr: 127.0.0.1:0

            """
        if kind == .secured || kind == .mutual {
            configuration += "  tls:\n    certificate: \(Certificates.directory)/server.crt\n    key: \(Certificates.directory)/server.key\n"
        }
        if kind == .mutual { configuration += "    clientcas: [\(Certificates.directory)/ca.crt]\n" }
        if kind == .password {
            let line = try tool("htpasswd", "-Bbn", "alice", "secret:word")
            try line.write(toFile: directory + "/htpasswd", atomically: true, encoding: .utf8)
            configuration += "auth: {htpasswd: {realm: test, path: \(directory)/htpasswd}}\n"
        }
        try configuration.write(toFile: directory + "/config.yml", atomically: true, encoding: .utf8)
        // It ignores its standard input; the shell doesn't.
        let script = "docker-registry serve \"$0\" & registry=$!; cat >/dev/null; kill $registry; wait $registry"
        try super.init("docker-registry", ["sh", "-c", script, directory + "/config.yml"], log: directory + "/log") { text in
            guard let line = text.split(separator: "\n").first(where: { $0.contains("listening on 127.0.0.1:") }) else { return nil }
            let rest = line.components(separatedBy: "listening on 127.0.0.1:")[1]
            return Int(rest.prefix { $0.isNumber })
        }
    }

    /// What was asked below `/v2/REPOSITORY/`, as METHOD and path.
    func requests(_ repository: String) -> [String] {
        logText.split(separator: "\n").compactMap { line in
            guard let start = line.range(of: "] \""), let end = line.range(of: " HTTP/1") else { return nil }
            let request = String(line[start.upperBound..<end.lowerBound])
            return request.contains(" /v2/\(repository)/") ? request : nil
        }
    }
}

/// hostile-registry.py.
final class HostileRegistry: Server, @unchecked Sendable {
    struct Entry: Decodable {
        let method: String
        let path: String
        let host: String?
        let range: String?
        let authorization: String?
        let proxy: String?
        let body: String
    }

    private let requestLog: String

    static let plain = Result { try HostileRegistry(isSecured: false) }
    static let secured = Result { try HostileRegistry(isSecured: true) }

    init(isSecured: Bool) throws {
        let directory = Scratch.make("hostile")
        requestLog = directory + "/requests"
        let script = (#filePath as NSString).deletingLastPathComponent + "/hostile-registry.py"
        let certificates = isSecured ? ["\(Certificates.directory)/server.crt", "\(Certificates.directory)/server.key"] : []
        try super.init("hostile-registry.py", ["python3", script, requestLog] + certificates, log: directory + "/log") { text in
            text.split(separator: "\n").first.flatMap { text.contains("\n") ? Int($0) : nil }
        }
    }

    /// What was asked for with a path that contains `part`.
    func requests(_ part: String) -> [Entry] {
        let text = (try? String(contentsOfFile: requestLog, encoding: .utf8)) ?? ""
        return text.split(separator: "\n").compactMap { try? JSONDecoder().decode(Entry.self, from: Data($0.utf8)) }
            .filter { $0.path.contains(part) }
    }
}
