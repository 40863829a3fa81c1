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

let package = Package(
    name: "swiftlet",
    products: [
        .executable(name: "swiftlet", targets: ["swiftlet"]),
        .executable(name: "swiftlet-vmm", targets: ["swiftlet-vmm"]),
        .executable(name: "swiftlet-files", targets: ["swiftlet-files"]),
        .executable(name: "swiftlet-registry", targets: ["swiftlet-registry"]),
    ],
    targets: [
        // The VMM half: knows bytes on vsock, not containers. No Foundation.
        .target(name: "CLinux"),
        module("LinuxSystem", ["CLinux"]),
        module("KVM", ["CLinux", "LinuxSystem"]),
        module("AddressSpace", ["CLinux", "LinuxSystem"]),
        module("Wire"),
        module("LaunchConfiguration", ["Wire"]),
        // What a virtio-fs device carries.
        module("FUSE"),
        module("FileServer", ["CLinux", "FUSE", "LinuxSystem"]),
        module("Virtio", ["AddressSpace", "CLinux", "LinuxSystem"]),
        module("VirtioDevices", ["AddressSpace", "CLinux", "FUSE", "LinuxSystem", "Virtio"]),
        module("Machine", ["AddressSpace", "CLinux", "KVM", "LinuxSystem"]),
        .systemLibrary(name: "CCap", providers: [.apt(["libcap-dev"])]),
        .target(name: "CJail"),
        module("Jail", ["CCap", "CJail", "CLinux", "LinuxSystem", "Wire"]),
        module(
            "VMM",
            [
                "AddressSpace", "CLinux", "FUSE", "Jail", "KVM", "LaunchConfiguration", "LinuxSystem", "Machine", "Virtio", "VirtioDevices", "Wire",
            ]),

        // Between the halves: the container's supervisor inside the VMM's process.
        module("AgentProtocol", ["Wire"]),
        module("Supervisor", ["AgentProtocol", "CLinux", "Jail", "LaunchConfiguration", "LinuxSystem", "VMM", "Wire"]),

        // The container half: never imports KVM or Virtio.
        module("Archive"),
        module("OCI"),
        .systemLibrary(name: "CCrypto", providers: [.apt(["libssl-dev"])]),
        module("Images", ["Archive", "CCrypto", "CLinux", "LinuxSystem", "OCI"]),
        module("Progress", ["CLinux", "LinuxSystem", "OCI"]),
        .systemLibrary(name: "CSeccomp", providers: [.apt(["libseccomp-dev"])]),
        // How a container inside the guest is confined, as programs that the agent only installs.
        module("Confinement", ["CSeccomp", "LinuxSystem", "OCI"]),
        .target(name: "CCurl"),
        module("Registry", ["CCurl", "CLinux", "Images", "LinuxSystem", "OCI", "Progress"]),
        module(
            "ContainerRuntime",
            [
                "AgentProtocol", "CJail", "CLinux", "Confinement", "FileServer", "Images", "Jail", "LaunchConfiguration", "LinuxSystem", "OCI",
                "Progress",
                "Wire",
            ]),

        .executableTarget(
            name: "swiftlet", dependencies: ["CLinux", "ContainerRuntime", "LinuxSystem", "Wire"],
            swiftSettings: strict),
        .executableTarget(
            name: "swiftlet-registry", dependencies: ["CLinux", "Images", "LinuxSystem", "OCI", "Progress", "Registry"], swiftSettings: strict),
        // Part of the build: what share/swiftlet/seccomp.profiles holds.
        .executableTarget(name: "seccomp-profiles", dependencies: ["Confinement", "LinuxSystem"], swiftSettings: strict),
        .executableTarget(name: "swiftlet-vmm", dependencies: ["Supervisor", "VMM"], swiftSettings: strict),
        .executableTarget(
            name: "swiftlet-files", dependencies: ["FUSE", "FileServer", "Jail", "LaunchConfiguration", "LinuxSystem"], swiftSettings: strict),

        // Writes the seccomp filters when Swiftlet is built.
        .executableTarget(
            name: "swiftlet-filters", dependencies: ["CJail", "CLinux", "CSeccomp", "Jail", "LinuxSystem", "Wire"], swiftSettings: strict),

        .target(
            name: "VirtioTesting", dependencies: ["AddressSpace", "LinuxSystem", "Virtio"], path: "Tests/Support/VirtioTesting",
            swiftSettings: strict),
        .target(
            name: "DeviceTesting", dependencies: ["AddressSpace", "CLinux", "FUSE", "LinuxSystem", "Virtio", "VirtioDevices", "VirtioTesting"],
            path: "Tests/Support/DeviceTesting", swiftSettings: strict),
        tests("LinuxSystemTests", ["LinuxSystem"]),
        // Linux's own declarations, to compare with.
        .target(name: "CFUSE", path: "Tests/Support/CFUSE"),
        tests("FUSETests", ["CFUSE", "FUSE"]),
        tests("FileServerTests", ["FileServer", "FUSE", "LinuxSystem"]),
        tests("AddressSpaceTests", ["AddressSpace", "LinuxSystem"]),
        tests("VirtioTests", ["AddressSpace", "LinuxSystem", "Virtio", "VirtioTesting"]),
        tests(
            "VirtioDevicesTests",
            ["AddressSpace", "CLinux", "DeviceTesting", "FileServer", "FUSE", "LinuxSystem", "Virtio", "VirtioDevices", "VirtioTesting"]),
        tests("MachineTests", ["AddressSpace", "KVM", "LinuxSystem", "Machine"]),
        tests("VMMTests", ["AddressSpace", "Jail", "LinuxSystem", "Virtio", "VirtioDevices", "VirtioTesting", "VMM"]),
        .target(name: "ImageFixtures", dependencies: ["CCrypto"], path: "Tests/ImageFixtures"),
        tests("OCITests", ["OCI"]),
        .executableTarget(
            name: "store-writer", dependencies: ["Images", "OCI"], path: "Tests/Support/StoreWriter", swiftSettings: strict),
        tests("ImagesTests", ["ImageFixtures", "Images", "LinuxSystem", "OCI", "store-writer"]),
        // Runs build/bin/swiftlet on a machine that can: scripts/test.
        .target(name: "CTestProcess", path: "Tests/CTestProcess"),
        .target(name: "CAttacks", path: "Tests/Support/CAttacks"),
        .executableTarget(
            name: "captured-vmm", dependencies: ["CAttacks", "Jail", "LinuxSystem", "Supervisor"], path: "Tests/Support/CapturedVMM",
            swiftSettings: strict),
        tests("VMTests", ["CTestProcess", "captured-vmm"]),
        tests("ProgressTests", ["Progress"]),
        tests("RegistryTests", ["OCI", "Registry"]),
        // Runs `swiftlet pull` against servers on loopback: scripts/test.
        .testTarget(
            name: "RegistryServerTests", dependencies: ["swiftlet", "swiftlet-registry"], exclude: ["hostile-registry.py"], swiftSettings: strict),
        tests("ConfinementTests", ["Confinement", "OCI"]),
        tests(
            "ContainerRuntimeTests",
            [
                "AgentProtocol", "Confinement", "ContainerRuntime", "ImageFixtures", "Images", "Jail", "LaunchConfiguration", "LinuxSystem", "OCI",
                "Wire",
            ]),
        .testTarget(
            name: "CommandTests", dependencies: ["ImageFixtures", "LaunchConfiguration", "swiftlet", "Wire"],
            exclude: ["stand-in-registry", "stand-in-vmm"],
            swiftSettings: strict),
        tests("ArchiveTests", ["Archive"]),
        tests("WireTests", ["AgentProtocol", "LaunchConfiguration", "Wire"]),
    ],
    swiftLanguageModes: [.v6]
)
