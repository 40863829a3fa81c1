// swift-tools-version: 6.2
// What `make bench` runs: a stopwatch that goes where the microVMs run, and a report of what it saw.
import PackageDescription

let strict: [SwiftSetting] = [
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

let package = Package(
    name: "Benchmarks",
    products: [
        .executable(name: "Stopwatch", targets: ["Stopwatch"]),
        .executable(name: "Report", targets: ["Report"]),
    ],
    targets: [
        .target(name: "CStopwatch"),
        // Runs beside what it measures: fully static, no Foundation.
        .executableTarget(name: "Stopwatch", dependencies: ["CStopwatch"], swiftSettings: strict),
        .executableTarget(name: "Report", swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6]
)
