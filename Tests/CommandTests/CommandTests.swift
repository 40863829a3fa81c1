// The built `swiftlet` from outside: exit statuses, messages, and what the VMM inherits, with a VMM that only shows it.
import Foundation
import ImageFixtures
import LaunchConfiguration
import Testing
import Wire

/// A prefix with the real `swiftlet` and a stand-in for everything else.
final class Prefix: Sendable {
    let directory: TemporaryDirectory

    init() throws {
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let built = (own as NSString).deletingLastPathComponent
        directory = try TemporaryDirectory(in: built)
        try FileManager.default.createDirectory(atPath: directory.path + "/bin", withIntermediateDirectories: true)
        // Links, not copies: a file that is being written while another test forks can't be executed (ETXTBSY).
        try FileManager.default.linkItem(atPath: built + "/swiftlet", toPath: directory.path + "/bin/swiftlet")
        let standIn = (#filePath as NSString).deletingLastPathComponent + "/stand-in-vmm"
        try FileManager.default.createSymbolicLink(atPath: directory.path + "/bin/swiftlet-vmm", withDestinationPath: standIn)
        try directory.write("share/swiftlet/vmlinux", "kernel")
        try directory.write("share/swiftlet/initrd", "initrd")
        try directory.write("share/swiftlet/initrd-unpacking", "initrd")
        // No program is compiled: swiftlet does it itself.
        try directory.write("share/swiftlet/seccomp.profiles", "SWSECCM2\0\0\0\0\0\0\0\0\0\0\0\0")
        try directory.write("share/swiftlet/filters", "filters")
    }

    /// What `swiftlet run` opens itself.
    // SAFETY: access reads the string during the call.
    static let hasKVM = unsafe access("/dev/kvm", R_OK | W_OK) == 0

    func read(_ name: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: directory.path + "/bin/" + name))) }

    func process(_ arguments: [String]) -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: directory.path + "/bin/swiftlet")
        process.arguments = arguments
        process.currentDirectoryURL = URL(fileURLWithPath: directory.path)
        process.environment = environment
        return process
    }

    var environment: [String: String] { ["PATH": "/usr/bin:/bin", "SWIFTLET_STORE": directory.path + "/store"] }

    /// Makes `layout`, an image, and its disk.
    func makeImage() throws {
        let image = TestImage()
        _ = try TestImage.write(image.files, to: directory)
        // Makes the store, and fails: there is no template for a disk.
        #expect(try run("run", "layout").status == 125)
        try makeDisk(image)
    }

    /// A stand-in for `swiftlet-registry` that runs this shell script.
    func writeRegistryClient(_ script: String) throws {
        let path = directory.path + "/bin/swiftlet-registry"
        if !FileManager.default.fileExists(atPath: path) {
            let standIn = (#filePath as NSString).deletingLastPathComponent + "/stand-in-registry"
            try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: standIn)
        }
        try directory.write("bin/registry-script", Array(script.utf8))
    }

    /// Makes the disk of an image in the store, of one block, as if it had been unpacked before.
    func makeDisk(_ image: TestImage) throws {
        let blobs = image.layers.map { digestText($0.bytes) }
        let digits = Array(blobs.dropFirst().reduce(blobs[0]) { digestText(Array("\($0) \($1)".utf8)) }.suffix(64))
        let disks = directory.path + "/store/disks/"
        try Data(count: 4096).write(to: URL(fileURLWithPath: disks + "0000000000000009.blocks"))
        let numbers = { (values: [UInt32]) in values.flatMap { value in [0, 8, 16, 24].map { UInt8(truncatingIfNeeded: value >> $0) } } }
        var map = Array("SWDISK03".utf8) + numbers([100, 1, 9, 0]) + numbers([0, 1, 0, 0])
        let sum = map.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
        map += (0..<8).map { UInt8(truncatingIfNeeded: sum >> (8 * UInt64($0))) }
        try Data(map).write(to: URL(fileURLWithPath: disks + String(digits) + ".map"))
    }

    func run(_ arguments: String...) throws -> (status: Int32, output: String, error: String, pid: Int32) {
        let process = process(arguments)
        let (output, error) = (Pipe(), Pipe())
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = error
        try process.run()
        let outputText = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        let errorText = String(decoding: error.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, outputText, errorText, process.processIdentifier)
    }
}

@Suite struct CommandTests {
    private let prefix: Prefix

    init() throws { prefix = try Prefix() }

    @Test(.enabled(if: Prefix.hasKVM, "needs /dev/kvm")) func theVMMIsTheFirstProcessOfItsNamespace() throws {
        try prefix.makeImage()
        let result = try prefix.run("run", "--name", "some-name", "-i", "--timeline=times", "layout", "echo", "-n")
        #expect(result.status == 42)
        #expect(result.error == "")
        // The first process of its pid namespace.
        #expect(String(decoding: try prefix.read("pid"), as: UTF8.self) == "1\n")
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/pid")
        #expect(!String(decoding: try prefix.read("namespaces"), as: UTF8.self).contains(own))

        // Born with what it needs for its machine and its jail; the rest is sent.
        let inherited = String(decoding: try prefix.read("inherited"), as: UTF8.self).split(separator: "\n")
        #expect(inherited.count == 6, "\(inherited)")
        #expect(inherited.contains("/dev/kvm") && inherited.contains { $0.hasSuffix("/filters") } && inherited.contains { $0.hasPrefix("socket:") })

        let configuration = try LaunchConfiguration(wireBytes: try prefix.read("configuration"))
        #expect(configuration.machine.memory == 512 << 20)
        #expect(configuration.machine.kernel.length == 6)
        #expect(configuration.launched > 0)
        let files = String(decoding: try prefix.read("files"), as: UTF8.self).split(separator: "\n").map(String.init)
        for expected in ["/share/swiftlet/vmlinux", "/share/swiftlet/initrd", "/times", ".map", ".blocks"] {
            #expect(files.contains { $0.hasSuffix(expected) }, "\(expected) is handed over")
        }
        #expect(files.contains { $0.hasPrefix("socket:") })
        #expect(files.contains { $0.contains("memfd:") })
        // The directories and documents that only `swiftlet` needed are closed; no layer was opened.
        #expect(!files.contains { $0.hasSuffix("/layout") || $0.hasSuffix("index.json") || $0.contains("/layout/blobs/") || $0.hasSuffix("/lock") })
    }

    @Test func theRegistryClientTakesTheProcessOver() throws {
        try prefix.writeRegistryClient("echo \"$$ $*\"; env >\"${0%/*}/environment\"; exit 7")
        let result = try prefix.run("pull", "nginx:1.27", "-q")
        #expect(result.status == 7)
        #expect(result.output == "\(result.pid) pull --quiet -- docker.io/library/nginx:1.27\n")
        #expect(String(decoding: try prefix.read("environment"), as: UTF8.self).contains("PATH="))
    }

    @Test(.enabled(if: Prefix.hasKVM, "needs /dev/kvm")) func closedStandardDescriptorsAreNotReused() throws {
        try prefix.makeImage()
        let process = Process()
        process.environment = prefix.environment
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", "exec bin/swiftlet run layout <&- >&- 2>&-"]
        process.currentDirectoryURL = URL(fileURLWithPath: prefix.directory.path)
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 42)
        let inherited = String(decoding: try prefix.read("inherited"), as: UTF8.self).split(separator: "\n")
        #expect(inherited.filter { $0 == "/dev/null" }.count == 3, "\(inherited)")
    }

    @Test(.enabled(if: Prefix.hasKVM, "needs /dev/kvm")) func aNameIsTakenWhileTheContainerRuns() throws {
        try prefix.makeImage()
        try prefix.directory.write("bin/wait", "")
        let name = "name-\(UInt64.random(in: 0...UInt64.max))"
        let first = prefix.process(["run", "--name", name, "layout"])
        let input = Pipe()
        first.standardInput = input
        try first.run()
        defer { if first.isRunning { kill(first.processIdentifier, SIGKILL) } }
        let deadline = Date(timeIntervalSinceNow: 60)
        while !FileManager.default.fileExists(atPath: prefix.directory.path + "/bin/files"), Date() < deadline { usleep(1000) }
        let second = try prefix.run("run", "--name", name, "layout")
        #expect(second.status == 125)
        #expect(second.error == "swiftlet: the name \"\(name)\" is in use by a running container: choose another --name or wait until it ends\n")
        kill(first.processIdentifier, SIGKILL)
        first.waitUntilExit()
        // The stand-in ends by itself; a real VMM would die with its parent.
        try input.fileHandleForWriting.close()
        try FileManager.default.removeItem(atPath: prefix.directory.path + "/bin/wait")
        var last = try prefix.run("run", "--name", name, "layout")
        while last.status == 125, Date() < deadline { last = try prefix.run("run", "--name", name, "layout") }
        #expect(last.status == 42, "\(last)")
    }

    @Test(.enabled(if: Prefix.hasKVM, "needs /dev/kvm")) func aVMMThatUnpacksNothingIsNotBelieved() throws {
        _ = try TestImage.write(TestImage().files, to: prefix.directory)
        try prefix.directory.write("share/swiftlet/disk.template", "SWSPARSE\0\u{10}\0\0\0\0\0\0")
        let result = try prefix.run("run", "layout")
        #expect(result.status == 125)
        // It is the VMM that explains; this one doesn't.
        #expect(result.error == "")
        #expect(try FileManager.default.contentsOfDirectory(atPath: prefix.directory.path + "/store/disks") == [])
    }

    @Test func aCorruptedLayerIsNotUnpacked() throws {
        let image = TestImage()
        _ = try TestImage.write(image.files, to: prefix.directory)
        try prefix.directory.write("share/swiftlet/disk.template", "SWSPARSE\0\u{10}\0\0\0\0\0\0")
        let path = prefix.directory.path + "/layout/" + TestImage.blobPath(image.layers[0].bytes)
        try Data(image.layers[0].bytes.map { $0 ^ 1 }).write(to: URL(fileURLWithPath: path))
        let result = try prefix.run("run", "layout")
        #expect(result.status == 125)
        #expect(result.error.hasPrefix("swiftlet: layer 1 of 2 (sha256:"))
        #expect(result.error.contains(") is corrupted: the digest of its blob is sha256:"))
        #expect(!FileManager.default.fileExists(atPath: prefix.directory.path + "/bin/configuration"))
    }

    @Test(arguments: [
        (["run"], "swiftlet: no image: name one after the options\nSee 'swiftlet run --help'.\n"),
        (["run", "--memory"], "swiftlet: the option --memory needs a value: --memory SIZE\nSee 'swiftlet run --help'.\n"),
        (["frob"], "swiftlet: unknown command \"frob\"\nSee 'swiftlet --help'.\n"),
        ([], "swiftlet: no command: use 'swiftlet run IMAGE' to run a container\nSee 'swiftlet --help'.\n"),
        (["doctor", "x"], "swiftlet: \"x\" is not expected: doctor takes no arguments\nSee 'swiftlet doctor --help'.\n"),
        (
            ["logs"],
            "swiftlet: there is no command \"logs\" yet: a container lives as long as its 'swiftlet run': send that process a signal to end it\nSee 'swiftlet --help'.\n"
        ),
        (["run", "oci:/nonexistent"], "swiftlet: image \"oci:/nonexistent\": there is no /nonexistent: check the path\n"),
        (["run", "oci:a\u{1B}[31m"], "swiftlet: image \"oci:a?[31m\": there is no a?[31m: check the path\n"),
        (
            ["run", "--kernel", "/nonexistent", "x"],
            "swiftlet: the kernel /nonexistent cannot be opened: No such file or directory: check --kernel\n"
        ),
        (["run", "--kernel", "/etc", "x"], "swiftlet: the kernel /etc cannot be opened: Is a directory: check --kernel\n"),
    ])
    func failuresAre125(arguments: [String], message: String) throws {
        let process = prefix.process(arguments)
        let error = Pipe()
        process.standardError = error
        process.standardInput = FileHandle.nullDevice
        try process.run()
        #expect(String(decoding: error.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self) == message)
        process.waitUntilExit()
        #expect(process.terminationStatus == 125)
    }

    @Test func aTerminalIsAskedForInVain() throws {
        _ = try TestImage.write(TestImage().files, to: prefix.directory)
        let result = try prefix.run("run", "-it", "layout")
        #expect(result.status == 125)
        #expect(result.error == "swiftlet: standard input is no terminal, as -i -t needs: leave -t out\n")
    }

    @Test(arguments: [["--help"], ["run", "--help"], ["doctor", "--help"], ["--version"], ["help"]])
    func helpSucceeds(arguments: [String]) throws {
        let process = prefix.process(arguments)
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        #expect(text.hasPrefix("Usage: swiftlet") || text.hasPrefix("swiftlet 0."))
        #expect(text.split(separator: "\n").allSatisfy { $0.utf8.count <= 100 })
    }

    @Test func doctorFindsTheStandInLacking() throws {
        let result = try prefix.run("doctor", "--json")
        #expect(result.status == 1)
        #expect(try JSONSerialization.jsonObject(with: Data(result.output.utf8)) is [String: Any])
    }
}
