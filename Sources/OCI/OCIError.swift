// Why a document of an image could not be understood.

public enum OCIError: Error, Equatable, CustomStringConvertible {
    /// `document` names the file, `detail` the field and what is wrong with it.
    case invalid(document: String, detail: String)
    case invalidDigest(String)
    case unsupportedDigestAlgorithm(String)

    public var description: String {
        switch self {
        case .invalid(let document, let detail): "\(document) is invalid: \(detail)"
        case .invalidDigest(let text): "\"\(text.prefix(100))\" is no digest (sha256: and 64 lower-case hexadecimal digits)"
        case .unsupportedDigestAlgorithm(let text): "the digest \"\(text.prefix(100))\" uses an algorithm other than sha256"
        }
    }
}
