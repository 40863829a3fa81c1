// Platforms as users write them: --platform os[/architecture[/variant]], with the usual other spellings (image-index.md: Go's GOOS and GOARCH).

extension Platform {
    /// The only one that runs in Swiftlet's virtual machines.
    public static let native = Platform(operatingSystem: "linux", architecture: "amd64")

    /// Understands `linux/arm64`, `linux/arm/v7`, and an architecture alone. Nil for anything else.
    public init?(name: String) {
        let parts = name.lowercased().split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard (1...3).contains(parts.count), parts.allSatisfy(Self.isComponent) else { return nil }
        guard let architecture = parts.count == 1 ? parts[0] : parts.dropFirst().first else { return nil }
        let (normalized, defaultVariant) = Self.normalized(architecture)
        self.init(
            operatingSystem: parts.count == 1 ? "linux" : parts[0], architecture: normalized,
            variant: parts.count == 3 ? parts[2] : defaultVariant)
    }

    private static func isComponent(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= 64
            && text.utf8.allSatisfy { ($0 >= 0x30 && $0 <= 0x39) || ($0 >= 0x61 && $0 <= 0x7A) || "._-".utf8.contains($0) }
    }

    private static func normalized(_ architecture: String) -> (String, variant: String) {
        switch architecture {
        case "x86_64", "x86-64": ("amd64", "")
        case "i386", "i686", "x86": ("386", "")
        case "aarch64": ("arm64", "")
        case "armhf", "arm": ("arm", "v7")
        case "armel": ("arm", "v6")
        default: (architecture, "")
        }
    }

    /// An image for this platform will do where `wanted` is asked for. Variants that are only another word for the usual machine don't count.
    public func fits(_ wanted: Platform) -> Bool {
        guard operatingSystem == wanted.operatingSystem, architecture == wanted.architecture else { return false }
        return wanted.variant.isEmpty || significantVariant == wanted.significantVariant
    }

    private var significantVariant: String {
        switch (architecture, variant) {
        case ("arm64", "v8"), ("amd64", "v1"): ""
        case ("arm", ""): "v7"
        default: variant
        }
    }
}
