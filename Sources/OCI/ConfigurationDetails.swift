// What people ask about an image beyond running it: config.md of the OCI image specification.

/// The fields of a configuration that `images` and `inspect` show.
public struct ConfigurationDetails: Equatable, Sendable {
    public let platform: Platform
    /// As in RFC 3339; empty where the image doesn't say.
    public let created: String
    public let author: String
    public let comment: String
    /// The `config` object, whatever it holds.
    public let process: JSONValue?
    /// Digests of the uncompressed layers, the lowest first.
    public let diffIDs: [Digest]

    private init(_ object: JSONObject) throws(FieldError) {
        platform = try Platform(object)
        created = try object.string("created") ?? ""
        author = try object.string("author") ?? ""
        comment = try object.string("comment") ?? ""
        process = object.value("config")
        let identifiers = try object.object("rootfs") { fields throws(FieldError) in
            try fields.list("diff_ids") { item throws(FieldError) in try item.digest() }
        }
        diffIDs = (identifiers ?? nil) ?? []
    }

    public init(json: [UInt8], name: String) throws(OCIError) {
        self = try JSONDocument.decode(json, name: name) { value throws(FieldError) in try ConfigurationDetails(JSONObject(value)) }
    }
}
