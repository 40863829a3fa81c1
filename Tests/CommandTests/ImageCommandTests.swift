// The commands for images from outside: what they print, and their exit statuses.
import Foundation
import ImageFixtures
import Testing

@Suite struct ImageCommandTests {
    private let prefix: Prefix
    private let id: String

    init() throws {
        prefix = try Prefix()
        var image = TestImage()
        image.name = "app:1"
        id = String(digestText(Array(image.configuration.utf8)).dropFirst(7))
        _ = try TestImage.write(image.files, to: prefix.directory)
    }

    /// Standard output, standard error, exit status.
    private func run(_ arguments: String..., input: String? = nil) throws -> (output: String, error: String, status: Int32) {
        let process = prefix.process(arguments)
        process.environment = ["SWIFTLET_STORE": prefix.directory.path + "/store"]
        let (output, error) = (Pipe(), Pipe())
        process.standardInput = try input.map { try FileHandle(forReadingFrom: URL(fileURLWithPath: $0)) } ?? FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = error
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        let errorText = String(decoding: error.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (text, errorText, process.terminationStatus)
    }

    private func succeed(_ arguments: String...) throws -> String {
        let process = prefix.process(arguments)
        process.environment = ["SWIFTLET_STORE": prefix.directory.path + "/store"]
        let output = Pipe()
        process.standardOutput = output
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        return text
    }

    private var short: String { String(id.prefix(12)) }

    private func rows() throws -> [[String]] {
        try succeed("images").split(separator: "\n").dropFirst().map { $0.split(separator: " ").map(String.init) }
    }

    @Test func imagesAreListed() throws {
        #expect(try succeed("images") == "REPOSITORY   TAG       IMAGE ID   CREATED   SIZE\n")
        #expect(try succeed("load", "-i", "layout") == "Loaded image: app:1\n")
        _ = try succeed("tag", "app:1", "localhost:5000/team/app")
        let table = try succeed("images")
        #expect(
            table.hasPrefix(
                "REPOSITORY                TAG       IMAGE ID       CREATED   SIZE\napp                       1         \(short)   N/A       "))
        #expect(try rows().map { $0[0...2] } == [["app", "1", short], ["localhost:5000/team/app", "latest", short]])
        #expect(try succeed("images", "-q") == "\(short)\n\(short)\n")
        #expect(try succeed("image", "ls", "-aq", "--no-trunc", "app") == "sha256:\(id)\n")
        #expect(try succeed("images", "-q", "local*/*/a?p:latest") == "\(short)\n")
        #expect(try succeed("images", "-q", "other") == "")
        let digests = try succeed("images", "--digests", "app:1")
        #expect(digests.contains(" DIGEST ") && digests.contains(" sha256:"))
        let lines = try succeed("images", "--format", "json").split(separator: "\n")
        let objects = try lines.map { try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: String] }
        #expect(objects.map { $0?["Repository"] } == ["app", "localhost:5000/team/app"])
        #expect(objects.allSatisfy { $0?["ID"] == short })
    }

    @Test func imagesAreInspected() throws {
        _ = try succeed("load", "-qi", "layout")
        _ = try succeed("tag", short, "other")
        let all = try #require(try JSONSerialization.jsonObject(with: Data(succeed("inspect", "app:1", short).utf8)) as? [[String: Any]])
        #expect(all.count == 2)
        #expect(all[0]["Id"] as? String == "sha256:" + id)
        #expect(all[0]["RepoTags"] as? [String] == ["app:1", "other:latest"])
        #expect((all[0]["RepoDigests"] as? [String])?.first?.hasPrefix("app@sha256:") == true)
        #expect(all[0]["Architecture"] as? String == "amd64" && all[0]["Os"] as? String == "linux")
        #expect((all[0]["Config"] as? [String: Any])?["Cmd"] as? [String] == ["/bin/sh"])
        #expect(((all[0]["RootFS"] as? [String: Any])?["Layers"] as? [String])?.count == 2)
        #expect(all[0]["Size"] as? Int ?? 0 > 500)
        let missing = try run("inspect", "--format", "json", "nope")
        #expect(missing == ("[]\n", "swiftlet: No such image: nope\n", 1))
    }

    @Test func namesComeAndGo() throws {
        _ = try succeed("load", "-i", "layout")
        _ = try succeed("tag", "app:1", "other:2")
        #expect(try run("rmi", short).error.hasSuffix("(must be forced) - image is referenced in multiple repositories\n"))
        #expect(try succeed("rmi", "app:1") == "Untagged: app:1\n")
        #expect(try rows().map { $0[0] } == ["other"])
        let removed = try succeed("rmi", "other:2").split(separator: "\n")
        #expect(removed.prefix(2) == ["Untagged: other:2", "Deleted: sha256:\(id)"] && removed.count == 4)
        #expect(try FileManager.default.contentsOfDirectory(atPath: prefix.directory.path + "/store/blobs/sha256") == [])
        #expect(try run("rmi", "other:2") == ("", "swiftlet: No such image: other:2\n", 1))
        #expect(try run("rmi", "-f", "other:2").status == 0)
        _ = try succeed("load", "-i", "layout")
        _ = try succeed("tag", "app:1", "other:2")
        #expect(try succeed("image", "rm", short, "-f").hasPrefix("Untagged: app:1\nUntagged: other:2\nDeleted: sha256:\(id)\n"))
    }

    @Test func aStoreInUseKeepsItsContent() throws {
        _ = try succeed("load", "-i", "layout")
        let lock = try #require(FileHandle(forReadingAtPath: prefix.directory.path + "/store/lock"))
        #expect(flock(lock.fileDescriptor, LOCK_SH) == 0)
        let result = try run("rmi", "app:1")
        #expect(result.output.hasPrefix("Untagged: app:1\n") && result.status == 0)
        #expect(result.error.contains("another swiftlet uses the store: run 'swiftlet prune' later"))
        #expect(try run("prune", "-f").error.contains("is in use by another swiftlet"))
        #expect(try FileManager.default.contentsOfDirectory(atPath: prefix.directory.path + "/store/blobs/sha256").count == 4)
        try lock.close()
        #expect(try !succeed("prune", "-f").hasSuffix("space: 0B\n"))
        #expect(try FileManager.default.contentsOfDirectory(atPath: prefix.directory.path + "/store/blobs/sha256") == [])
    }

    @Test func removersDoNotWaitForEachOther() throws {
        _ = try succeed("load", "-i", "layout")
        let processes = try (0..<4).map { _ in
            let process = prefix.process(["prune", "-af"])
            process.environment = ["SWIFTLET_STORE": prefix.directory.path + "/store"]
            process.standardOutput = FileHandle.nullDevice
            try process.run()
            return process
        }
        for process in processes {
            process.waitUntilExit()
            #expect(process.terminationStatus == 0)
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: prefix.directory.path + "/store/blobs/sha256") == [])
    }

    @Test func pruningAsksAndFilters() throws {
        _ = try succeed("load", "-i", "layout")
        let yes = try prefix.directory.write("yes", "y\n")
        #expect(try run("prune", "-a").output.hasSuffix("Are you sure you want to continue? [y/N] Total reclaimed space: 0B\n"))
        #expect(try rows().count == 1)
        #expect(try succeed("prune", "-f").hasSuffix("Total reclaimed space: 0B\n"))
        #expect(try rows().count == 1)
        #expect(try run("prune", "-af", "--filter", "until=x").status == 125)
        let result = try run("prune", "-a", "--filter", "until=1h", input: yes)
        #expect(result.output.contains("Deleted Images:\nuntagged: app:1\n\nTotal reclaimed space: "))
        #expect(try rows().count == 0)
    }

    @Test func archivesAreWrittenWholeOrNotAtAll() throws {
        _ = try succeed("load", "-i", "layout")
        #expect(try succeed("save", "app", "-o", "saved.tar") == "")
        let saved = try Data(contentsOf: URL(fileURLWithPath: prefix.directory.path + "/saved.tar"))
        let piped = try run("save", "app:1")
        #expect(piped.status == 0 && Data(piped.output.utf8).count >= saved.count - 100)
        try prefix.directory.write("kept.tar", "kept")
        let layer = TestImage.blobPath(TestImage().layers[0].bytes)
        try prefix.directory.write("store/" + layer, [UInt8](repeating: 0, count: 13))
        #expect(
            try run("save", "-q", "-o", "kept.tar", "app:1").error
                == "swiftlet: \(layer) in the image store does not match its digest: remove the file and get the image again\n")
        #expect(try String(contentsOfFile: prefix.directory.path + "/kept.tar", encoding: .utf8) == "kept")
        #expect(try FileManager.default.contentsOfDirectory(atPath: prefix.directory.path).filter { $0.hasPrefix(".") } == [])
        #expect(try run("load", input: prefix.directory.path + "/saved.tar").output == "Loaded image: app:1\n")
    }

    @Test func loadAndSaveSayHowFarTheyAre() throws {
        let layers = TestImage().layers.map { String(digestText($0.bytes).dropFirst(7).prefix(12)) }
        let begun = layers.map { "\($0): Loading layer\n" }.joined()
        #expect(try run("load", "-i", "layout").error == begun + layers.map { "\($0): Load complete\n" }.joined())
        #expect(try run("load", "-i", "layout").error == begun + layers.map { "\($0): Already exists\n" }.joined())
        #expect(try run("load", "-q", "-i", "layout").error == "")
        let saved = layers.sorted()
        #expect(
            try run("save", "-o", "saved.tar", "app").error == saved.map { "\($0): Saving layer\n" }.joined()
                + saved.map { "\($0): Save complete\n" }.joined())
        #expect(try run("save", "-q", "-o", "saved.tar", "app").error == "")
    }

    @Test func loadAndSaveDrawBarsOnATerminal() throws {
        for (command, word) in [("load -i layout", "Load"), ("save -o saved.tar app", "Save"), ("load -i saved.tar", "Already exists")] {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/script")
            let program = try #require(prefix.process([]).executableURL).path
            process.arguments = ["-qec", "stty cols 60 rows 24; exec '\(program)' \(command)", "/dev/null"]
            process.currentDirectoryURL = URL(fileURLWithPath: prefix.directory.path)
            process.environment = ["SWIFTLET_STORE": prefix.directory.path + "/store", "PATH": "/usr/bin:/bin", "TERM": "xterm"]
            let output = Pipe()
            process.standardInput = FileHandle.nullDevice
            process.standardOutput = output
            try process.run()
            let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            process.waitUntilExit()
            #expect(process.terminationStatus == 0, "\(text)")
            #expect(text.contains("\u{1B}[2A"), "two lines are drawn again: \(text)")
            #expect(text.contains(word == "Already exists" ? ": Already exists\u{1B}[K" : ": \(word) complete\u{1B}[K"), "\(text)")
        }
    }

    @Test func hostileNamesReachNoTerminal() throws {
        var image = TestImage()
        image.name = #"a\u001b[2J"#
        image.process = #"{"Cmd": ["\u001b[2J\u009b", "\u202e"]}"#
        _ = try TestImage.write(image.files, to: prefix.directory, as: "hostile")
        let loaded = try run("load", "-i", "hostile")
        #expect(loaded.error.contains("it is only called \"a?[2J\" there"))
        let inspected = try succeed("inspect", String(digestText(Array(image.configuration.utf8)).dropFirst(7).prefix(12)))
        #expect(inspected.unicodeScalars.allSatisfy { $0.value == 0x0A || (0x20..<0x7F).contains($0.value) })
        #expect(inspected.contains(#"\u001b[2J\u009b"#))
    }

    @Test func runFindsNamesInTheStore() throws {
        _ = try succeed("load", "-i", "layout")
        try prefix.makeDisk(TestImage())
        #expect(try run("run", "app:1").status == 42)
        #expect(try run("run", short).status == 42)
        let missing = try run("run", "nginx:1.27")
        #expect(missing.status == 125)
        #expect(missing.error.contains("swiftlet: the registry client \(prefix.directory.path)/bin/swiftlet-registry cannot be opened"), "\(missing)")
    }

    @Test func runGetsWhatIsMissing() throws {
        let notice = "Unable to find image 'nginx:1.27' locally\n"
        // The client fails, and has said why.
        try prefix.writeRegistryClient("echo \"$*\"; exit 1")
        #expect(try run("run", "nginx:1.27") == ("", notice + "pull -- docker.io/library/nginx:1.27\n", 125))
        // It succeeds, but brings nothing.
        try prefix.writeRegistryClient("exit 0")
        #expect(
            try run("run", "nginx:1.27")
                == ("", notice + "swiftlet: the image nginx:1.27 is not in the store: get it with 'swiftlet pull nginx:1.27'\n", 125))
        // It brings the image.
        try prefix.makeDisk(TestImage())
        try prefix.writeRegistryClient("\"${0%/*}/swiftlet\" load -i layout && \"${0%/*}/swiftlet\" tag app:1 nginx:1.27")
        let brought = try run("run", "nginx:1.27")
        #expect(brought.status == 42, "\(brought)")
        #expect(brought.output == "")
    }

    @Test func theUserDecidesWhenAnImageIsPulled() throws {
        try prefix.writeRegistryClient("echo \"$*\"; exit 1")
        #expect(
            try run("run", "--pull=never", "nginx:1.27")
                == ("", "swiftlet: the image nginx:1.27 is not in the store: get it with 'swiftlet pull nginx:1.27'\n", 125))
        try prefix.makeImage()
        _ = try succeed("load", "-i", "layout")
        _ = try succeed("tag", short, "app:1")
        #expect(try run("run", "--pull=always", "app:1") == ("", "pull -- docker.io/library/app:1\n", 125))
        // What lies here is nowhere else.
        #expect(try run("run", "--pull=always", "layout").status == 42)
        try prefix.writeRegistryClient("exit 0")
        #expect(try run("run", "--pull=always", "app:1").status == 42)
    }

    @Test(arguments: [
        (["inspect"], "no image: name one or more", 125), (["tag", "a"], "give two names: the image's, and the new one", 125),
        (["tag", "a", "B"], "\"B\" is no image name: repository name (library/B) must be lowercase", 1),
        (["tag", "a", "b"], "No such image: a", 1), (["save", "-o", "x", "a"], "No such image: a", 1),
        (["images", "--format", "yaml"], "--format \"yaml\": it must be table or json", 125),
        (["load", "-i", "/nonexistent"], "image \"/nonexistent\": there is no /nonexistent: check the path", 1),
        (["load", "-i", "bin"], "image \"bin\": bin holds no image: expected a directory", 1),
        (["image"], "no command after \"image\"", 125), (["image", "frob"], "unknown command \"frob\"", 125),
        (["build", "."], "there is no command \"build\", because other tools make images: use 'buildah build'", 125),
        (["image", "push", "x"], "there is no command \"push\" yet: write the image with 'swiftlet save", 125),
    ])
    func failuresHaveOneSentence(arguments: [String], sentence: String, status: Int32) throws {
        let process = prefix.process(arguments)
        process.environment = ["SWIFTLET_STORE": prefix.directory.path + "/store"]
        let error = Pipe()
        process.standardError = error
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        let text = String(decoding: error.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(text.hasPrefix("swiftlet: " + sentence))
        #expect(process.terminationStatus == status)
    }

    @Test(arguments: ["images", "inspect", "load", "prune", "rmi", "save", "tag"])
    func everyCommandHasHelp(word: String) throws {
        let text = try succeed(word, "--help")
        #expect(text.hasPrefix("Usage: swiftlet \(word) "))
        #expect(text.split(separator: "\n").allSatisfy { $0.utf8.count <= 100 })
    }
}
