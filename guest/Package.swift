// swift-tools-version: 6.2
// The guest's side: Embedded Swift, linked statically against musl by ./build, which also passes the search paths that the C target needs.
// Wire, AgentProtocol and Archive are the host's own sources, by symbolic link.
import PackageDescription

let strict: [SwiftSetting] = [
    .enableExperimentalFeature("Embedded"),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .unsafeFlags(["-wmo", "-Osize", "-Xfrontend", "-function-sections", "-Xfrontend", "-mergeable-traps", "-enforce-exclusivity=unchecked"]),
]

func module(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

let package = Package(
    name: "swiftlet-guest",
    products: [
        .library(name: "Agent", type: .static, targets: ["Agent"]),
        .library(name: "LayerAgent", type: .static, targets: ["LayerAgent"]),
        // The unpacker by itself, for tests on any Linux.
        .library(name: "UnpackTool", type: .static, targets: ["UnpackTool"]),
    ],
    targets: [
        .target(name: "CGuest", cSettings: [.unsafeFlags(["-Os", "-ffunction-sections", "-fno-stack-protector"]), .define("_GNU_SOURCE")]),
        module("Wire"),
        module("AgentProtocol", ["Wire"]),
        module("Archive"),
        module("GuestSystem", ["CGuest"]),
        // What PID 1 does in either kind of machine.
        module("FirstProcess", ["AgentProtocol", "CGuest", "GuestSystem", "Wire"]),
        module("Unpacker", ["AgentProtocol", "Archive", "CGuest", "FirstProcess", "GuestSystem", "Wire"]),
        // The machine that runs a container, and the one that unpacks an image.
        module("Agent", ["AgentProtocol", "CGuest", "FirstProcess", "GuestSystem", "Unpacker", "Wire"]),
        module("LayerAgent", ["AgentProtocol", "CGuest", "FirstProcess", "GuestSystem", "Unpacker", "Wire"]),
        module("UnpackTool", ["AgentProtocol", "CGuest", "FirstProcess", "GuestSystem", "Unpacker"]),
    ],
    swiftLanguageModes: [.v6]
)
