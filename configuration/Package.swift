// swift-tools-version: 6.2
// Reads /etc/swiftlet/config.toml for `swiftlet`, where there is one (docs/adr/0020). A package of its own: nothing else needs a TOML parser, which is written in C++.
import PackageDescription

let package = Package(
    name: "swiftlet-configuration",
    dependencies: [.package(url: "https://github.com/LebJe/TOMLKit", exact: "0.6.0")],
    targets: [
        .executableTarget(
            name: "swiftlet-config", dependencies: [.product(name: "TOMLKit", package: "TOMLKit")],
            swiftSettings: [.treatAllWarnings(as: .error), .enableUpcomingFeature("MemberImportVisibility")])
    ],
    swiftLanguageModes: [.v6]
)
