// Names of images in registries: the grammar of the distribution project's "reference" package, completed as Docker does.
//
//   reference := [registry "/"] path [":" tag] ["@" digest]
//   registry  := host [":" port]; host is a domain name, an IPv4 address, or an IPv6 address in brackets
//   path      := component ("/" component)*; component is lower-case letters and digits, joined by ".", "_", "__" or dashes
//   tag       := a letter, digit or "_", then at most 127 of these, "." and "-"

/// A whole name: the registry is always there, and a tag or a digest or both.
public struct ImageName: Hashable, Sendable, CustomStringConvertible {
    public static let defaultRegistry = "docker.io"
    public static let defaultTag = "latest"
    /// In bytes.
    public static let tagLimit = 128
    /// In bytes; of the repository, and of the registry's host as DNS has it.
    public static let nameLimit = 255
    private static let official = "library/"

    /// `docker.io`, `localhost:5000`, `[::1]:5000`, …
    public let registry: String
    /// As in `library/nginx`.
    public let repository: String
    public let tag: String?
    public let digest: Digest?

    /// Parses what a user types: without a registry it is docker.io, without tag and digest the tag is `latest`.
    public init(_ text: String) throws(OCIError) {
        do throws(NameProblem) {
            self = try Self.parse(Array(text.utf8))
        } catch { throw .invalidName(text, problem: error.text) }
    }

    private init(registry: String, repository: String, tag: String?, digest: Digest?) {
        self.registry = registry
        self.repository = repository
        self.tag = tag
        self.digest = digest
    }

    /// The same repository with another tag or digest. Without either the tag is `latest`; nil where `tag` is none.
    public func with(tag: String? = nil, digest: Digest? = nil) -> ImageName? {
        if let tag, (try? Self.checkTag(Array(tag.utf8)[...])) == nil { return nil }
        return ImageName(
            registry: registry, repository: repository, tag: tag ?? (digest == nil ? Self.defaultTag : nil), digest: digest)
    }

    /// Everything spelled out: `docker.io/library/nginx:1.27`, `localhost:5000/app@sha256:…`. Parses to the same name.
    public var canonical: String { registry + "/" + repository + suffix }

    /// As Docker shows it: `nginx:1.27`. Parses to the same name.
    public var familiar: String { familiarRepository + suffix }

    /// As Docker's table shows it in the column REPOSITORY: without tag and digest.
    public var familiarRepository: String {
        let whole = registry + "/" + repository
        guard registry == Self.defaultRegistry else { return whole }
        if repository.utf8.starts(with: Self.official.utf8) {
            let short = String(decoding: repository.utf8.dropFirst(Self.official.utf8.count), as: UTF8.self)
            return short.utf8.contains(UInt8(ascii: "/")) || Self.isIdentifier(short.utf8) ? repository : short
        }
        // A repository whose first component would be taken for a registry keeps the real one; so does one that would get "library/".
        let first = repository.utf8.prefix { $0 != UInt8(ascii: "/") }
        return first.count == repository.utf8.count || Self.isRegistry(first) ? whole : repository
    }

    public var description: String { familiar }

    private var suffix: String { (tag.map { ":" + $0 } ?? "") + (digest.map { "@\($0)" } ?? "") }

    /// Two spellings of one name, such as `busybox` and `docker.io/library/busybox:latest`; whatever is no name is compared as it is.
    public static func areEqual(_ first: String, _ second: String) -> Bool {
        if first == second { return true }
        guard let first = try? ImageName(first), let second = try? ImageName(second) else { return false }
        return first == second
    }
}

// MARK: Parsing

/// Continues "… is no image name: ".
private struct NameProblem: Error {
    let text: String
    init(_ text: String) { self.text = text }
}

extension ImageName {
    private static let colon = UInt8(ascii: ":")
    private static let slash = UInt8(ascii: "/")

    private static func parse(_ bytes: [UInt8]) throws(NameProblem) -> ImageName {
        if bytes.isEmpty { throw NameProblem("it is empty") }
        if isIdentifier(bytes) { throw NameProblem("64 hexadecimal digits are an image's ID, not its name") }
        let main = bytes.prefix { $0 != UInt8(ascii: "@") }
        var digest: Digest?
        if main.count < bytes.count { digest = try Self.digest(bytes[(main.endIndex + 1)...]) }

        var registry = Self.defaultRegistry
        var rest = main
        if let end = main.firstIndex(of: slash), isRegistry(main[..<end]) {
            registry = try Self.registry(main[..<end])
            rest = main[(end + 1)...]
        }
        let path = rest.prefix { $0 != colon }
        var tag: String?
        if path.count < rest.count { tag = try checkTag(rest[(path.endIndex + 1)...]) }
        let repository = try Self.repository(path, isOfficial: registry == Self.defaultRegistry && !path.contains(slash))
        if tag == nil && digest == nil { tag = Self.defaultTag }
        return ImageName(registry: registry, repository: repository, tag: tag, digest: digest)
    }

    private static func digest(_ bytes: ArraySlice<UInt8>) throws(NameProblem) -> Digest {
        let text = String(decoding: bytes, as: UTF8.self)
        do throws(OCIError) { return try Digest(text) } catch { throw NameProblem(error.description) }
    }

    /// Whether a first component is a registry: with a dot, a port or an upper-case letter, or localhost.
    private static func isRegistry(_ component: some Sequence<UInt8>) -> Bool {
        component.contains { $0 == UInt8(ascii: ".") || $0 == colon || isUpper($0) } || component.elementsEqual("localhost".utf8)
    }

    private static func registry(_ bytes: ArraySlice<UInt8>) throws(NameProblem) -> String {
        let text = String(decoding: bytes, as: UTF8.self)
        let problem = NameProblem("\"\(text)\" is no registry (HOST or HOST:PORT)")
        var port: ArraySlice<UInt8>?
        let host: ArraySlice<UInt8>
        if bytes.first == UInt8(ascii: "[") {
            guard let end = bytes.firstIndex(of: UInt8(ascii: "]")) else { throw problem }
            host = bytes[(bytes.startIndex + 1)..<end]
            guard !host.isEmpty, host.allSatisfy({ $0 == colon || isHexadecimal($0) }) else { throw problem }
            let rest = bytes[(end + 1)...]
            if !rest.isEmpty {
                guard rest.first == colon else { throw problem }
                port = rest.dropFirst()
            }
        } else {
            host = bytes.prefix { $0 != colon }
            if host.count < bytes.count { port = bytes[(host.endIndex + 1)...] }
            guard host.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).allSatisfy(isDomainComponent) else { throw problem }
        }
        guard host.count <= Self.nameLimit else { throw NameProblem("its registry has more than \(Self.nameLimit) characters") }
        if let port {
            guard !port.isEmpty, port.allSatisfy(isDigit) else { throw problem }
            guard let number = UInt16(String(decoding: port, as: UTF8.self)), number > 0 else {
                throw NameProblem("the port of \"\(text)\" is not between 1 and 65535")
            }
        }
        return text == "index.docker.io" ? Self.defaultRegistry : text
    }

    private static func repository(_ path: ArraySlice<UInt8>, isOfficial: Bool) throws(NameProblem) -> String {
        if path.isEmpty { throw NameProblem("the repository is missing") }
        let repository = (isOfficial ? Self.official : "") + String(decoding: path, as: UTF8.self)
        if path.contains(where: isUpper) { throw NameProblem("repository name (\(repository)) must be lowercase") }
        guard path.split(separator: slash, omittingEmptySubsequences: false).allSatisfy(isPathComponent) else {
            throw NameProblem(
                "the repository \"\(repository)\" is not made of lower-case letters and digits, joined by \".\", \"_\", \"__\", \"-\" or \"/\"")
        }
        guard repository.utf8.count <= Self.nameLimit else { throw NameProblem("its repository has more than \(Self.nameLimit) characters") }
        return repository
    }

    @discardableResult
    private static func checkTag(_ bytes: ArraySlice<UInt8>) throws(NameProblem) -> String {
        let text = String(decoding: bytes, as: UTF8.self)
        guard let first = bytes.first else { throw NameProblem("the tag after \":\" is missing") }
        let isFirst: (UInt8) -> Bool = { isLower($0) || isUpper($0) || isDigit($0) || $0 == UInt8(ascii: "_") }
        guard isFirst(first), bytes.allSatisfy({ isFirst($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") }) else {
            throw NameProblem("the tag \"\(text)\" is not made of letters, digits, \"_\", \".\" and \"-\"")
        }
        guard bytes.count <= Self.tagLimit else { throw NameProblem("its tag has more than \(Self.tagLimit) characters") }
        return text
    }

    private static func isDomainComponent(_ bytes: ArraySlice<UInt8>) -> Bool {
        guard let first = bytes.first, let last = bytes.last, first != UInt8(ascii: "-"), last != UInt8(ascii: "-") else { return false }
        return bytes.allSatisfy { isLower($0) || isUpper($0) || isDigit($0) || $0 == UInt8(ascii: "-") }
    }

    /// Runs of letters and digits, joined by one dot, one or two underscores, or any number of dashes.
    private static func isPathComponent(_ bytes: ArraySlice<UInt8>) -> Bool {
        var rest = bytes
        while true {
            let run = rest.prefix { isLower($0) || isDigit($0) }
            if run.isEmpty { return false }
            rest = rest[run.endIndex...]
            guard let separator = rest.first else { return true }
            let length = rest.prefix { $0 == separator }.count
            switch separator {
            case UInt8(ascii: "."): guard length == 1 else { return false }
            case UInt8(ascii: "_"): guard length <= 2 else { return false }
            case UInt8(ascii: "-"): break
            default: return false
            }
            rest = rest.dropFirst(length)
        }
    }

    /// What Docker takes for an image's ID wherever it stands.
    private static func isIdentifier(_ bytes: some Collection<UInt8>) -> Bool {
        bytes.count == 64 && bytes.allSatisfy { isDigit($0) || ($0 >= UInt8(ascii: "a") && $0 <= UInt8(ascii: "f")) }
    }

    private static func isLower(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "a") && byte <= UInt8(ascii: "z") }
    private static func isUpper(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") }
    private static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }
    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        isDigit(byte) || (byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "f"))
    }
}
