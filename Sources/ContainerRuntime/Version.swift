/// Swiftlet's version, as in CHANGELOG.md.
public let swiftletVersion = "0.1.0"
