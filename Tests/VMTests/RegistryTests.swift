// An image that is only in a registry: Debian's, on this machine's loopback.
import Foundation
import Testing

/// docker-registry, with the busybox image as team/busybox:1. The shell in front of it ends it when the test does.
private final class LocalRegistry {
    let port: Int
    private let directory: TestDirectory
    private let process: TestProcess

    init() throws {
        directory = try TestDirectory()
        let configuration = try directory.file(
            "config.yml", "version: 0.1\nstorage: {filesystem: {rootdirectory: \(directory.path)/data}}\nhttp: {addr: 127.0.0.1:0}\n")
        let environment = ["PATH": "/usr/bin:/bin", "HOME": directory.path]
        let script = "docker-registry serve \"$0\" 2>&1 & registry=$!; cat >/dev/null; kill $registry; wait $registry"
        process = try TestProcess(["/bin/sh", "-c", script, configuration], environment: environment, .pipes)
        let mark = "listening on 127.0.0.1:"
        try #require(process.sees(mark))
        port = try #require(Int(process.outputSoFar.components(separatedBy: mark)[1].prefix { $0.isNumber }))
        let copy = ["/usr/bin/skopeo", "copy", "-q", "--insecure-policy", "--dest-tls-verify=false", Project.busybox, "docker://\(name)"]
        let pushed = try TestProcess(copy, environment: environment, .noInput).finish()
        try #require(pushed.ending == .exited(0), "\(pushed)")
    }

    deinit {
        process.closeInput()
        _ = process.finish(within: 30)
    }

    var name: String { "localhost:\(port)/team/busybox:1" }
}

extension VirtualMachines {
    @Suite struct Registries {
        @Test func imageFromARegistry() throws {
            let (registry, store) = (try LocalRegistry(), try TestDirectory())
            var swiftlet = try Swiftlet()
            swiftlet.environment["SWIFTLET_STORE"] = store.path
            let first = try swiftlet.run(image: registry.name, ["echo", "first"])
            #expect(first.ending == .exited(0), "\(first)")
            #expect(first.text == "first\n")
            #expect(first.errorText.hasPrefix("Unable to find image '\(registry.name)' locally\n1: Pulling from team/busybox\n"), "\(first)")
            expectOutput(try swiftlet.run(image: registry.name, ["echo", "second"]), "second\n")

            let missing = try swiftlet.run(image: registry.name + "000", ["true"])
            #expect(missing.ending == .exited(125) && missing.text == "", "\(missing)")
            #expect(missing.errorText.contains("does not have \(registry.name)000"), "\(missing)")
        }
    }
}
