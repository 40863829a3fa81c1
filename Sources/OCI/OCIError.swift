// Why a document or a name of an image could not be understood, or a document not be written.

public enum OCIError: Error, Equatable, CustomStringConvertible {
    /// `document` names the file, `detail` the field and what is wrong with it.
    case invalid(document: String, detail: String)
    case invalidDigest(String)
    case unsupportedDigestAlgorithm(String)
    case invalidName(String, problem: String)
    /// A document that would exceed its limit, in bytes, or nest too deeply.
    case unwritable(limit: Int)

    public var description: String {
        switch self {
        case .invalid(let document, let detail): "\(document) is invalid: \(detail)"
        case .invalidDigest(let text): "\"\(text.prefix(100))\" is no digest (sha256: and 64 lower-case hexadecimal digits)"
        case .unsupportedDigestAlgorithm(let text): "the digest \"\(text.prefix(100))\" uses an algorithm other than sha256"
        case .invalidName(let text, let problem): "\"\(text.prefix(300))\" is no image name: \(problem)"
        case .unwritable(let limit): "the document would have more than \(limit) bytes or be nested too deeply"
        }
    }
}
