// Image configurations: config.md of the OCI image specification.

/// How the image's author wants it to be run, and what its layers hold.
public struct ImageConfiguration: Decodable, Equatable, Sendable {
    public let platform: Platform
    public let process: Process
    /// Digests of the uncompressed layers, the lowest first.
    public let diffIDs: [Digest]

    /// The `config` object: defaults of the container's process.
    public struct Process: Decodable, Equatable, Sendable {
        public var user = ""
        /// `NAME=value` each.
        public var environment: [String] = []
        /// Nil where the image has none.
        public var entrypoint: [String]?
        public var command: [String]?
        public var workingDirectory = ""
        /// A name (`SIGQUIT`) or a number; empty: SIGTERM.
        public var stopSignal = ""

        public init() {}

        private enum CodingKeys: String, CodingKey {
            case user = "User"
            case environment = "Env"
            case entrypoint = "Entrypoint"
            case command = "Cmd"
            case workingDirectory = "WorkingDir"
            case stopSignal = "StopSignal"
        }

        public init(from decoder: any Decoder) throws {
            let values = try decoder.container(keyedBy: CodingKeys.self)
            user = try values.decodeIfPresent(String.self, forKey: .user) ?? ""
            environment = try values.decodeIfPresent([String].self, forKey: .environment) ?? []
            entrypoint = try values.decodeIfPresent([String].self, forKey: .entrypoint)
            command = try values.decodeIfPresent([String].self, forKey: .command)
            workingDirectory = try values.decodeIfPresent(String.self, forKey: .workingDirectory) ?? ""
            stopSignal = try values.decodeIfPresent(String.self, forKey: .stopSignal) ?? ""
        }
    }

    private enum CodingKeys: String, CodingKey {
        case process = "config"
        case rootFileSystem = "rootfs"
    }

    private struct RootFileSystem: Decodable {
        let diffIDs: [Digest]?

        enum CodingKeys: String, CodingKey { case diffIDs = "diff_ids" }
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        platform = try Platform(from: decoder)
        process = try values.decodeIfPresent(Process.self, forKey: .process) ?? Process()
        diffIDs = try values.decodeIfPresent(RootFileSystem.self, forKey: .rootFileSystem)?.diffIDs ?? []
    }

    public init(platform: Platform, process: Process, diffIDs: [Digest]) {
        self.platform = platform
        self.process = process
        self.diffIDs = diffIDs
    }

    public init(json: [UInt8], name: String) throws(OCIError) {
        self = try JSONDocument.decode(ImageConfiguration.self, json, name: name)
    }
}
