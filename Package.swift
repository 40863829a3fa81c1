// swift-tools-version: 6.2
// Swiftlet's host side. Imports only point down: see ARCHITECTURE.md for the layers, `make check` for their enforcement.
import PackageDescription

let strict: [SwiftSetting] = [
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

func module(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: strict)
}

let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")

let package = Package(
    name: "swiftlet",
    products: [
        .executable(name: "swiftlet", targets: ["swiftlet"]),
        .executable(name: "swiftlet-vmm", targets: ["swiftlet-vmm"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.0"),
    ],
    targets: [
        // The VMM half: knows bytes on vsock, not containers. No Foundation.
        .target(name: "CLinux"),
        module("LinuxSystem", ["CLinux"]),
        module("KVM", ["CLinux", "LinuxSystem"]),
        module("AddressSpace", ["CLinux", "LinuxSystem"]),
        module("Wire"),
        module("LaunchConfiguration", ["Wire"]),
        module("Virtio", ["AddressSpace", "CLinux", "LinuxSystem"]),
        module("VirtioDevices", ["AddressSpace", "CLinux", "LinuxSystem", "Virtio"]),
        module("Machine", ["AddressSpace", "CLinux", "KVM", "LinuxSystem"]),
        module(
            "VMM",
            ["AddressSpace", "CLinux", "KVM", "LaunchConfiguration", "LinuxSystem", "Machine", "Virtio", "VirtioDevices", "Wire"]),

        // Between the halves: the container's supervisor inside the VMM's process.
        module("AgentProtocol", ["Wire"]),
        module("Supervisor", ["AgentProtocol", "CLinux", "LaunchConfiguration", "LinuxSystem", "VMM", "Wire"]),

        // The container half: never imports KVM or Virtio.
        module("Archive"),
        module("OCI"),
        module("Images", ["Archive", "CLinux", "LinuxSystem", "OCI", crypto]),
        module(
            "ContainerRuntime",
            ["AgentProtocol", "CLinux", "Images", "LaunchConfiguration", "LinuxSystem", "OCI", "Wire"]),

        .executableTarget(
            name: "swiftlet", dependencies: ["CLinux", "ContainerRuntime", "LinuxSystem", "Wire"],
            swiftSettings: strict),
        .executableTarget(
            name: "swiftlet-vmm", dependencies: ["LaunchConfiguration", "LinuxSystem", "Supervisor", "VMM", "Wire"],
            swiftSettings: strict),

        tests("MachineTests", ["AddressSpace", "KVM", "LinuxSystem", "Machine"]),
        tests("VMMTests", ["VMM"]),
        // Runs build/bin/swiftlet on a machine that can: scripts/test.
        .target(name: "CTestProcess", path: "Tests/CTestProcess"),
        tests("VMTests", ["CTestProcess"]),
        .target(name: "ImageFixtures", dependencies: [crypto], path: "Tests/ImageFixtures"),
        tests("OCITests", ["OCI"]),
        tests("ImagesTests", ["ImageFixtures", "Images", "OCI"]),
        tests("WireTests", ["AgentProtocol", "LaunchConfiguration", "Wire"]),
    ],
    swiftLanguageModes: [.v6]
)
