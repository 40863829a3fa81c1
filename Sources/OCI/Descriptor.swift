// Content descriptors: descriptor.md of the OCI image specification.

/// The platform that an image is for (image-index.md, "platform").
public struct Platform: Decodable, Equatable, Sendable, CustomStringConvertible {
    public let operatingSystem: String
    public let architecture: String
    public let variant: String

    public init(operatingSystem: String, architecture: String, variant: String = "") {
        self.operatingSystem = operatingSystem
        self.architecture = architecture
        self.variant = variant
    }

    private enum CodingKeys: String, CodingKey {
        case operatingSystem = "os"
        case architecture, variant
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        operatingSystem = try values.decodeIfPresent(String.self, forKey: .operatingSystem) ?? ""
        architecture = try values.decodeIfPresent(String.self, forKey: .architecture) ?? ""
        variant = try values.decodeIfPresent(String.self, forKey: .variant) ?? ""
    }

    /// `os/architecture[/variant]`.
    public var description: String { "\(operatingSystem)/\(architecture)" + (variant.isEmpty ? "" : "/\(variant)") }
}

/// Names a blob by its digest.
public struct Descriptor: Decodable, Equatable, Sendable {
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

    private enum CodingKeys: String, CodingKey {
        case mediaType, digest, size, platform, annotations
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        mediaType = try values.decodeIfPresent(String.self, forKey: .mediaType) ?? ""
        digest = try values.decode(Digest.self, forKey: .digest)
        let size = try values.decode(Int64.self, forKey: .size)
        guard size >= 0 else {
            throw DecodingError.dataCorruptedError(forKey: .size, in: values, debugDescription: "\(size) is negative")
        }
        self.size = UInt64(size)
        platform = try values.decodeIfPresent(Platform.self, forKey: .platform)
        annotations = try values.decodeIfPresent([String: String].self, forKey: .annotations) ?? [:]
    }
}
