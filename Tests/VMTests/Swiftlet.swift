// Running build/bin/swiftlet as a user does, on the images of scripts/test-images, and looking for what it leaves behind.
import Foundation
import Glibc
import Testing

/// Everything here shares one machine, in the lab even one CPU: one test after another.
@Suite(.serialized) enum VirtualMachines {}

enum Project {
    static let directory = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..").standardized.path
    static let program = directory + "/build/bin/swiftlet"
    static let share = directory + "/build/share/swiftlet"
    /// A link that scripts/test makes to what kernel-config/build keeps beside vmlinux.
    static let bzImage = directory + "/build/test-kernel/bzImage"

    /// The guest's kernel with other instructions at the beginning of a function (System V ABI, "Program Header").
    static func kernel(replacing function: String, by instructions: [UInt8]) throws -> [UInt8] {
        var file = Array(try Data(contentsOf: URL(filePath: share + "/vmlinux")))
        func integer(_ offset: Int, _ size: Int) -> UInt64 { file[offset..<offset + size].reversed().reduce(0) { $0 << 8 | UInt64($1) } }
        let map = try String(contentsOfFile: directory + "/build/test-kernel/System.map", encoding: .utf8)
        let line = map.split(separator: "\n").first { $0.hasSuffix(" " + function) }
        guard let address = (line?.prefix(16)).flatMap({ UInt64($0, radix: 16) }) else { throw TestError("there is no \(function) in System.map") }
        for index in 0..<Int(integer(56, 2)) {
            let header = Int(integer(32, 8)) + index * Int(integer(54, 2))
            let (type, offset, start, size) = (integer(header, 4), integer(header + 8, 8), integer(header + 16, 8), integer(header + 32, 8))
            guard type == 1, address >= start, address - start < size else { continue }
            let place = Int(offset + address - start)
            file.replaceSubrange(place..<place + instructions.count, with: instructions)
            return file
        }
        throw TestError("no segment of vmlinux holds \(function)")
    }

    private static let images = directory + "/build/test-images"
    static func basic(_ name: String) -> String { images + "/basic/" + name }
    static func layered(_ name: String) -> String { images + "/layered/" + name }
    static func bad(_ name: String) -> String { images + "/bad/" + name }
    static func extreme(_ name: String) -> String { images + "/extreme/" + name }
    /// With as many files as SWIFTLET_TEST_FILES says.
    static var files: String { images + "/files/files" }
    static func debian(_ name: String) -> String { images + "/debian/" + name }
    static func real(_ tag: String) -> String { images + "/real/real:" + tag }
    static var busybox: String { "oci:" + basic("busybox") + ":latest" }

    /// Everything else on the machine holds still.
    static let isLab = ProcessInfo.processInfo.environment["SWIFTLET_LAB"] == "1"
    static let isRoot = geteuid() == 0
}

/// A directory for one test; also the TMPDIR of what it runs.
final class TestDirectory: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/vmtest-XXXXXX".utf8CString)
        // SAFETY: mkdtemp replaces the X in place.
        guard unsafe mkdtemp(&template) != nil else { throw TestError("mkdtemp") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        // Other users' programs work in it too.
        // SAFETY: plain libc call.
        _ = unsafe chmod(path, 0o755)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String, _ contents: [UInt8] = []) throws -> String {
        try Data(contents).write(to: URL(filePath: path + "/" + name))
        return path + "/" + name
    }

    func file(_ name: String, _ contents: String) throws -> String { try file(name, Array(contents.utf8)) }

    var entries: [String] { (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? [] }
}

/// The image store of all tests: each image is unpacked once, as on a user's machine.
final class ImageStore: Sendable {
    static let shared = ImageStore("/tmp/vmtests-store")

    let path: String

    init(_ path: String) {
        self.path = path
        // What runs before a test compares what there was must be the same as after it.
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    private var disks: [String] { (try? FileManager.default.contentsOfDirectory(atPath: path + "/disks")) ?? [] }
    /// Names of unpacked parts of images.
    var maps: [String] { disks.filter { $0.hasSuffix(".map") } }
    var blocks: [String] { disks.filter { $0.hasSuffix(".blocks") } }
    /// What is neither a map nor its blocks: half-made, or locked.
    var unfinished: [String] { disks.filter { !$0.hasSuffix(".map") && !$0.hasSuffix(".blocks") } }
}

/// What a run could leave on the machine.
struct Leftovers: Equatable, CustomStringConvertible {
    var processes: [String] = []
    var files: [String] = []
    var sockets: [String] = []
    var cgroups: [String] = []
    var mounts = 0

    /// Whether `now` is what there was `before`. A start that was killed leaves its cgroup to the next one, which may be of another test: less of them is as good.
    static func == (now: Leftovers, before: Leftovers) -> Bool {
        now.processes == before.processes && now.files == before.files && now.sockets == before.sockets && now.mounts == before.mounts
            && Set(now.cgroups).isSubset(of: before.cgroups)
    }

    /// The machine's present state.
    static func now(besides directory: String) -> Leftovers {
        var state = Leftovers()
        for pid in names("/proc") where pid.allSatisfy(\.isNumber) {
            let name = contents("/proc/\(pid)/comm").trimmingCharacters(in: .newlines)
            if name.hasPrefix("swiftlet") { state.processes.append("\(name) \(pid)") }
        }
        for place in ["/tmp", "/var/tmp", "/run", "/dev/shm"] {
            // Elsewhere than in the lab other programs come and go; and /var/tmp is seen through from there.
            state.files += names(place).filter { Project.isLab && place != "/var/tmp" || $0.contains("swiftlet") }.map { place + "/" + $0 }
        }
        state.files += names(directory).map { directory + "/" + $0 }
        state.files += ImageStore.shared.unfinished
        state.files.sort()
        state.sockets = contents("/proc/net/unix").split(separator: "\n").filter { $0.contains("swiftlet") }.map(String.init).sorted()
        state.cgroups = names("/sys/fs/cgroup/swiftlet").filter { $0.hasPrefix("vm-") }.sorted()
        state.mounts = contents("/proc/self/mounts").split(separator: "\n").count
        return state
    }

    private static func names(_ directory: String) -> [String] { (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? [] }
    private static func contents(_ path: String) -> String { (try? String(contentsOfFile: path, encoding: .utf8)) ?? "" }

    var description: String { "processes \(processes), files \(files), sockets \(sockets), cgroups \(cgroups), \(mounts) mounts" }
}

/// `swiftlet` and its surroundings.
struct Swiftlet {
    let directory: TestDirectory
    var environment: [String: String]
    /// Programs that start it, such as `setpriv`, in front of its own name.
    var starter: [String] = []
    var workingDirectory: String?

    init() throws {
        directory = try TestDirectory()
        environment = [
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": directory.path, "TMPDIR": directory.path, "SWIFTLET_STORE": ImageStore.shared.path,
        ]
    }

    private func commandLine(_ arguments: [String]) -> [String] { starter + [Project.program] + arguments }

    /// Starts it, to be talked to.
    func start(_ arguments: [String], _ streams: TestProcess.Streams = .pipes) throws -> TestProcess {
        try TestProcess(commandLine(arguments), environment: environment, directory: workingDirectory, streams)
    }

    /// Runs it to its end, and checks that nothing is left behind.
    func callAsFunction(
        _ arguments: [String], input: [UInt8]? = nil, within limit: TimeInterval = TestProcess.timeLimit,
        _ location: SourceLocation = #_sourceLocation
    ) throws -> Outcome {
        let before = Leftovers.now(besides: directory.path)
        let process = try start(arguments, input == nil ? .noInput : .pipes)
        if let input {
            Thread.detachNewThread {
                process.send(input)
                process.closeInput()
            }
        }
        let outcome = process.finish(within: limit)
        #expect(Leftovers.now(besides: directory.path) == before, "something was left behind", sourceLocation: location)
        return outcome
    }

    /// Runs a command in a busybox container.
    func run(
        _ options: [String] = [], image: String = Project.busybox, _ command: [String], input: [UInt8]? = nil,
        _ location: SourceLocation = #_sourceLocation
    ) throws -> Outcome {
        try self(["run"] + options + [image] + command, input: input, location)
    }

    /// Runs a shell script in a busybox container.
    func shell(
        _ options: [String] = [], image: String = Project.busybox, _ script: String, _ location: SourceLocation = #_sourceLocation
    ) throws -> Outcome {
        try run(options, image: image, ["/bin/sh", "-c", script], location)
    }
}

/// Checks that a run ended well and printed exactly this.
func expectOutput(_ outcome: Outcome, _ output: String, _ location: SourceLocation = #_sourceLocation) {
    #expect(outcome.ending == .exited(0), "\(outcome)", sourceLocation: location)
    #expect(outcome.text == output, sourceLocation: location)
    #expect(outcome.errorText == "", sourceLocation: location)
}

/// Checks that a run was refused as the documentation says: the exit status, and one sentence on standard error that holds all of `words`.
func expectRefusal(
    _ outcome: Outcome, _ status: Int32 = 125, naming words: [String], hint: Bool = false, _ location: SourceLocation = #_sourceLocation
) {
    #expect(outcome.ending == .exited(status), "\(outcome)", sourceLocation: location)
    #expect(outcome.text == "", "\(outcome)", sourceLocation: location)
    let lines = outcome.errorText.split(separator: "\n", omittingEmptySubsequences: false)
    // A mistake on the command line is followed by where help is.
    #expect(lines.count == (hint ? 3 : 2) && lines.last == "", "not one sentence: \(outcome)", sourceLocation: location)
    #expect(outcome.errorText.hasPrefix("swiftlet: "), "\(outcome)", sourceLocation: location)
    for word in words {
        #expect(outcome.errorText.contains(word), "does not name \(word): \(outcome)", sourceLocation: location)
    }
    // What a program prints that was not meant for people.
    for word in ["Optional(", "Error(", "SystemError", "Fatal", "errno"] {
        #expect(!outcome.errorText.contains(word), "\(outcome)", sourceLocation: location)
    }
}

/// A copy of what was built, to be damaged or changed.
struct Installation {
    let path: String
    var program: String { path + "/bin/swiftlet" }

    init(in directory: TestDirectory, named name: String = "installation") throws {
        path = directory.path + "/" + name
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        for part in ["bin", "share"] {
            try FileManager.default.copyItem(atPath: Project.directory + "/build/" + part, toPath: path + "/" + part)
        }
    }
}
