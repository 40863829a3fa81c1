// Images that are extreme or mean harm, and disks that were damaged: what the store of disks holds after them.
import Foundation
import Testing

extension VirtualMachines {
    @Suite struct HostileImages {
        private let store: ImageStore
        private let directory: TestDirectory
        private var swiftlet: Swiftlet

        init() throws {
            directory = try TestDirectory()
            store = ImageStore(directory.path + "/store")
            swiftlet = try Swiftlet()
            swiftlet.environment["SWIFTLET_STORE"] = store.path
        }

        private func path(_ name: String) -> URL { URL(filePath: store.path + "/disks/" + name) }

        /// 127 layers are a part each; the 173 above them together are one more. In the store of all tests, where the smaller image may be already.
        @Test func moreLayersThanParts() throws {
            let (swiftlet, shared) = (try Swiftlet(), ImageStore.shared)
            expectOutput(try swiftlet.shell([], image: Project.layered("many"), "cat /many/last"), "126\n")
            let before = Set(shared.blocks)
            let script = "ls /many | wc -l; cat /many/last /many/1 /many/126 /many/127 /many/299"
            for _ in 0..<2 {
                expectOutput(try swiftlet.shell([], image: Project.layered("more"), script), "300\n299\n1\n126\n127\n299\n")
                #expect(shared.blocks.count == before.count + 1)
                #expect(before.isSubset(of: shared.blocks))
            }
        }

        /// As many as an image may have. What a start attaches is one disk, whatever their number.
        @Test func asManyLayersAsAnImageMayHave() throws {
            for _ in 0..<2 {
                let outcome = try swiftlet(["run", Project.extreme("thousands"), "sh", "-c", "cat /layers/last; ls /layers"], within: 600)
                expectOutput(outcome, "4095\n1024\n1536\n2048\n2560\n3072\n3584\n4095\n512\nlast\n")
                #expect(store.blocks.count == 128 && store.unfinished == [])
            }
        }

        /// Fifty thousand, or what SWIFTLET_TEST_FILES says.
        @Test func manyFiles() throws {
            let count = ProcessInfo.processInfo.environment["SWIFTLET_TEST_FILES"].flatMap { Int($0) } ?? 50_000
            let script = "ls /files/* | grep -c '[0-9]$'; ls -d /files/0/0 /files/\((count - 1) / 1000)/\(count - 1)"
            let expected = "\(count)\n/files/0/0\n/files/\((count - 1) / 1000)/\(count - 1)\n"
            for _ in 0..<2 {
                expectOutput(try swiftlet(["run", "-m", "1g", Project.files, "sh", "-c", script], within: 3000), expected)
                #expect(store.maps.count == 2 && store.unfinished == [])
            }
        }

        /// One more than the guest's block device can list.
        @Test func moreLayersThanAnImageMayHave() throws {
            expectRefusal(try swiftlet.run(image: Project.extreme("too-many"), ["/bin/true"]), naming: ["4097 layers", "at most 4096"])
            #expect(store.maps.count == 0 && store.unfinished == [])
        }

        @Test func goodLayersBelowABadOneAreKept() throws {
            expectRefusal(try swiftlet.run(image: Project.bad("spoiled"), ["/bin/true"]), naming: ["layer 3", "ends in the middle"])
            let good = Set(store.blocks)
            #expect(store.maps.count == 2 && good.count == 2 && store.unfinished == [])
            // A second try begins where the first one ended.
            expectRefusal(try swiftlet.run(image: Project.bad("spoiled"), ["/bin/true"]), naming: ["layer 3", "ends in the middle"])
            #expect(store.maps.count == 2 && Set(store.blocks) == good && store.unfinished == [])
            expectOutput(try swiftlet.shell([], image: Project.bad("corrected"), "cat /escaped"), "out\n")
            #expect(store.maps.count == 3 && good.isSubset(of: store.blocks))
        }

        @Test func twoImagesAtOnceShareTheirBase() throws {
            let starts = try ["absolute", "link-root"].map { try swiftlet.start(["run", Project.bad($0), "cat", "/escaped"], .noInput) }
            for start in starts { expectOutput(start.finish(), "out\n") }
            #expect(store.maps.count == 3 && store.blocks.count == 3 && store.unfinished == [])
        }

        /// What is damaged so that the host can tell is unpacked again.
        @Test func damagedDisksAreUnpackedAgain() throws {
            expectOutput(try swiftlet.run([], ["echo", "first"]), "first\n")
            let damages: [(String, (Data) -> Data)] = [
                ("blocks", { $0.prefix($0.count / 2) }), ("blocks", { _ in Data() }), ("map", { $0.dropLast(16) }), ("map", { _ in Data() }),
                ("map", { Data(repeating: 0xA5, count: $0.count) }), ("map", { $0.prefix(40) + Data(repeating: 0xFF, count: $0.count - 40) }),
            ]
            for (number, (kind, damage)) in damages.enumerated() {
                let name = try #require((kind == "map" ? store.maps : store.blocks).first)
                try damage(try Data(contentsOf: path(name))).write(to: path(name))
                expectOutput(try swiftlet.run([], ["echo", "again \(number)"]), "again \(number)\n")
                #expect(store.maps.count == 1 && store.blocks.count == 1 && store.unfinished == [])
            }
        }

        /// The host doesn't read blocks: a guest that can't mount them says so.
        @Test func blocksOfOtherBytes() throws {
            expectOutput(try swiftlet.run([], ["echo", "first"]), "first\n")
            let name = try #require(store.blocks.first)
            let count = try Data(contentsOf: path(name)).count
            try Data(repeating: 0xA5, count: count).write(to: path(name))
            expectRefusal(try swiftlet.run([], ["true"]), naming: ["root file system", "can't be mounted"])
        }

        /// A whiteout names something in its own directory.
        @Test(arguments: [
            ("whiteout-parent", ".wh..."), ("whiteout-self", ".wh.."), ("whiteout-nothing", ".wh."), ("whiteout-above", "../.wh.bin"),
            ("whiteout-loop", "way/.wh.bin"),
        ])
        func whiteoutsOfNoName(image: String, name: String) throws {
            expectRefusal(try swiftlet.run(image: Project.bad(image), ["/bin/true"]), naming: ["layer 2", name])
            #expect(store.maps.count == 1)
        }

        /// They are looked up inside the root, and remove links rather than what those lead to. An opaque marker in a link's place hides nothing, as with Docker.
        @Test func whiteoutsThroughLinks() throws {
            let script = """
                ls /keep; ls -A /emptied | wc -l; ls /stays; for f in out up way alias; do readlink $f; done; for f in marker link; do [ -e $f ] || [ -L $f ] || echo no $f; done
                [ -x /bin/sh ] && echo still
                """
            expectOutput(
                try swiftlet.shell(["-w", "/"], image: Project.bad("whiteouts"), script),
                "b\nc\n2\nfile\n/../../keep\n../../../..\n/proc/1/root\nemptied\nno marker\nno link\nstill\n")
        }

        @Test func anOpaqueRoot() throws {
            expectOutput(
                try swiftlet.shell([], image: Project.bad("opaque-root"), "[ -e /escaped ] || echo gone; ls /bin/busybox"), "gone\n/bin/busybox\n")
        }
    }
}
