// `swiftlet pull` as a user runs it, with a home directory and a store of its own.
import Foundation

struct Outcome: Sendable, CustomStringConvertible {
    let status: Int32
    let output: String
    let error: String
    var description: String { "status \(status), output \"\(output)\", error \"\(error)\"" }
}

struct Client: Sendable {
    let home = Scratch.make("home")
    var store: String { home + "/store" }
    var environment: [String: String] = [:]

    private static let programs: String = {
        let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return (own as NSString).deletingLastPathComponent
    }()

    var variables: [String: String] {
        [
            "PATH": "\(home)/bin:/usr/bin:/bin", "HOME": home, "SWIFTLET_STORE": store, "SWIFTLET_PULL_STALL_SECONDS": "1", "TERM": "xterm",
        ].merging(environment) { $1 }
    }

    func process(_ words: [String]) -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: words[0])
        process.arguments = Array(words.dropFirst())
        process.environment = variables
        process.standardInput = FileHandle.nullDevice
        return process
    }

    static var swiftlet: String { programs + "/swiftlet" }

    func pull(_ arguments: String...) async throws -> Outcome { try await run([Self.swiftlet, "pull"] + arguments) }

    /// The tests wait for servers more than for processors: each waits on a thread of its own.
    func run(_ words: [String]) async throws -> Outcome {
        let process = process(words)
        let files = ["output", "error"].map { "\(Scratch.make("streams"))/\($0)" }
        for (path, isOutput) in zip(files, [true, false]) {
            try Data().write(to: URL(fileURLWithPath: path))
            let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
            if isOutput { process.standardOutput = handle } else { process.standardError = handle }
        }
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            process.terminationHandler = { _ in continuation.resume() }
            do { try process.run() } catch { continuation.resume(throwing: error) }
        }
        let texts = files.map { String(decoding: FileManager.default.contents(atPath: $0) ?? Data(), as: UTF8.self) }
        // Docker and we end with an exit status, never with a signal.
        return Outcome(
            status: process.terminationReason == .exit ? process.terminationStatus : 1000 + process.terminationStatus, output: texts[0],
            error: texts[1])
    }

    func write(_ path: String, _ text: String, isExecutable: Bool = false) throws {
        let full = "\(home)/\(path)"
        try FileManager.default.createDirectory(
            atPath: (full as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try text.write(toFile: full, atomically: true, encoding: .utf8)
        if isExecutable { try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: full) }
    }

    /// Names in the store's index.
    func names() -> [String] {
        guard let data = FileManager.default.contents(atPath: store + "/index.json"),
            let index = try? JSONSerialization.jsonObject(with: data) as? [String: Any]
        else { return [] }
        let manifests = index["manifests"] as? [[String: Any]] ?? []
        return manifests.compactMap { ($0["annotations"] as? [String: String])?["org.opencontainers.image.ref.name"] }
    }

    func blobs() -> [String] { ((try? FileManager.default.contentsOfDirectory(atPath: store + "/blobs/sha256")) ?? []).sorted() }

    /// Sizes of the blobs on their way in, by digest.
    func partials() -> [String: Int] {
        var sizes: [String: Int] = [:]
        for name in (try? FileManager.default.contentsOfDirectory(atPath: store + "/ingest")) ?? [] {
            sizes[name] = (try? FileManager.default.attributesOfItem(atPath: "\(store)/ingest/\(name)"))?[.size] as? Int
        }
        return sizes
    }
}
