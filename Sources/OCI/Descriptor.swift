// Content descriptors: descriptor.md of the OCI image specification.

/// The platform that an image is for (image-index.md, "platform").
public struct Platform: Equatable, Sendable, CustomStringConvertible {
    public let operatingSystem: String
    public let architecture: String
    public let variant: String

    public init(operatingSystem: String, architecture: String, variant: String = "") {
        self.operatingSystem = operatingSystem
        self.architecture = architecture
        self.variant = variant
    }

    init(_ object: JSONObject) throws(FieldError) {
        operatingSystem = try object.string("os") ?? ""
        architecture = try object.string("architecture") ?? ""
        variant = try object.string("variant") ?? ""
    }

    /// `os/architecture[/variant]`.
    public var description: String { "\(operatingSystem)/\(architecture)" + (variant.isEmpty ? "" : "/\(variant)") }
}

/// Names a blob by its digest.
public struct Descriptor: Equatable, Sendable {
    /// Empty where the document has none.
    public let mediaType: String
    public let digest: Digest
    /// In bytes.
    public let size: UInt64
    public let platform: Platform?
    public let annotations: [String: String]

    public init(
        mediaType: String, digest: Digest, size: UInt64, platform: Platform? = nil, annotations: [String: String] = [:]
    ) {
        self.mediaType = mediaType
        self.digest = digest
        self.size = size
        self.platform = platform
        self.annotations = annotations
    }

    init(_ value: JSONValue) throws(FieldError) {
        let object = try JSONObject(value)
        mediaType = try object.string("mediaType") ?? ""
        let digest = try object.require("digest", object.value("digest"))
        do throws(FieldError) { self.digest = try digest.digest() } catch { throw error.within("digest") }
        let size = try object.require("size", object.integer("size"))
        guard size >= 0 else { throw FieldError(path: "size", problem: ": \(size) is negative") }
        self.size = UInt64(size)
        platform = try object.object("platform") { fields throws(FieldError) in try Platform(fields) }
        annotations = try object.object("annotations") { fields throws(FieldError) in try fields.texts() } ?? [:]
    }
}

extension Platform {
    public var json: JSONValue {
        .object(
            ("architecture", .string(architecture)), ("os", .string(operatingSystem)), ("variant", variant.isEmpty ? nil : .string(variant)))
    }
}

extension Descriptor {
    /// As documents write it.
    public var json: JSONValue {
        let texts = annotations.sorted { $0.key < $1.key }.map { JSONValue.Member(name: $0.key, value: .string($0.value)) }
        return .object(
            ("mediaType", .string(mediaType)), ("digest", .string(digest.description)),
            ("size", .integer(Int64(clamping: size))), ("platform", platform?.json), ("annotations", texts.isEmpty ? nil : .object(texts)))
    }

    /// The same content with other annotations.
    public func with(annotations: [String: String]) -> Descriptor {
        Descriptor(mediaType: mediaType, digest: digest, size: size, platform: platform, annotations: annotations)
    }
}
