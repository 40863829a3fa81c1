// Image configurations: config.md of the OCI image specification.

/// How the image's author wants it to be run, and what its layers hold.
public struct ImageConfiguration: Equatable, Sendable {
    public let platform: Platform
    public let process: Process
    /// Digests of the uncompressed layers, the lowest first.
    public let diffIDs: [Digest]

    /// The `config` object: defaults of the container's process.
    public struct Process: Equatable, Sendable {
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

        init(_ object: JSONObject) throws(FieldError) {
            user = try object.string("User") ?? ""
            environment = try object.strings("Env") ?? []
            entrypoint = try object.strings("Entrypoint")
            command = try object.strings("Cmd")
            workingDirectory = try object.string("WorkingDir") ?? ""
            stopSignal = try object.string("StopSignal") ?? ""
        }
    }

    private init(_ object: JSONObject) throws(FieldError) {
        platform = try Platform(object)
        process = try object.object("config") { fields throws(FieldError) in try Process(fields) } ?? Process()
        let identifiers = try object.object("rootfs") { fields throws(FieldError) in
            try fields.list("diff_ids") { item throws(FieldError) in try item.digest() }
        }
        diffIDs = (identifiers ?? nil) ?? []
    }

    public init(platform: Platform, process: Process, diffIDs: [Digest]) {
        self.platform = platform
        self.process = process
        self.diffIDs = diffIDs
    }

    public init(json: [UInt8], name: String) throws(OCIError) {
        self = try JSONDocument.decode(json, name: name) { value throws(FieldError) in try ImageConfiguration(JSONObject(value)) }
    }
}
