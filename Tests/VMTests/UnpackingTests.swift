// Images are unpacked once, in a microVM: what is shared, what a killed or a crowded start leaves, and what is evicted.
import Foundation
import Glibc
import Testing

extension VirtualMachines {
    @Suite struct Unpacking {
        private let store: ImageStore
        private let directory: TestDirectory
        private var swiftlet: Swiftlet

        init() throws {
            directory = try TestDirectory()
            store = ImageStore(directory.path + "/store")
            swiftlet = try Swiftlet()
            swiftlet.environment["SWIFTLET_STORE"] = store.path
        }

        private var hasMachines: Bool { Leftovers.now(besides: "/nonexistent").processes.contains { $0.hasPrefix("swiftlet-vmm") } }

        /// The blobs of the layers are replaced by zeros: a start from the store of disks doesn't notice, because it reads none of them.
        @Test func aStartFromTheStoreReadsNoLayer() throws {
            let layout = directory.path + "/layout"
            try FileManager.default.copyItem(atPath: Project.basic("busybox"), toPath: layout)
            expectOutput(try swiftlet.run(image: "oci:\(layout):latest", ["echo", "first"]), "first\n")
            let blobs = layout + "/blobs/sha256/"
            for name in try FileManager.default.contentsOfDirectory(atPath: blobs) {
                let contents = try Data(contentsOf: URL(filePath: blobs + name))
                if contents.first != UInt8(ascii: "{") { try Data(count: contents.count).write(to: URL(filePath: blobs + name)) }
            }
            expectOutput(try swiftlet.run(image: "oci:\(layout):latest", ["echo", "second"]), "second\n")
            #expect(store.maps.count == 1)
        }

        /// Of an image of the store not even the names of its layers are needed.
        @Test func aStoredImageStartsWithoutItsLayers() throws {
            let loaded = try swiftlet(["load", "-q", "-i", Project.basic("busybox")])
            let name = try #require(loaded.text.split(separator: ":").last.map { String($0.prefix(12)) }, "\(loaded)")
            expectOutput(try swiftlet.run(image: name, ["echo", "first"]), "first\n")
            let blobs = store.path + "/blobs/sha256/"
            for blob in try FileManager.default.contentsOfDirectory(atPath: blobs) {
                let isDocument = try Data(contentsOf: URL(filePath: blobs + blob)).first == UInt8(ascii: "{")
                if !isDocument { try FileManager.default.removeItem(atPath: blobs + blob) }
            }
            expectOutput(try swiftlet.run(image: name, ["echo", "second"]), "second\n")
            try FileManager.default.removeItem(atPath: store.path + "/disks/" + #require(store.maps.first))
            expectRefusal(try swiftlet.run(image: name, ["echo", "third"]), naming: ["can't be unpacked", "layer 1 of 1 is missing"])
        }

        @Test func layersThatImagesShareAreUnpackedOnce() throws {
            // Both are a layer of their own on the same one.
            for image in ["absolute", "link-root"] {
                expectOutput(try swiftlet.shell([], image: Project.bad(image), "cat /escaped"), "out\n")
            }
            #expect(store.maps.count == 3)
            #expect(store.blocks.count == 3)
        }

        @Test func whatOneContainerChangesNoOtherSees() throws {
            let change = """
                set -e
                mv /etc /moved && mkdir /etc && rm -r /usr/sbin && echo changed >>/moved/passwd && ln /bin/busybox /hard && chmod 700 /bin
                cmp /hard /bin/busybox && cat /moved/passwd | tail -n 1; ls -A /etc; stat -c %a /bin
                """
            let outcome = try swiftlet.shell([], change)
            #expect(outcome.text == "changed\n700\n" && outcome.ending == .exited(0), "\(outcome)")
            let look = "ls -d /moved /hard 2>/dev/null; ls -d /usr/sbin; grep -c changed /etc/passwd; stat -c %a /bin"
            expectOutput(try swiftlet.shell([], look), "/usr/sbin\n0\n755\n")
        }

        @Test func startsThatRaceUnpackOnce() throws {
            let starts = try (0..<3).map { number in try swiftlet.start(["run", Project.busybox, "echo", "start \(number)"], .noInput) }
            for (number, start) in starts.enumerated() { expectOutput(start.finish(), "start \(number)\n") }
            #expect(store.maps.count == 1)
            #expect(store.blocks.count == 1)
            #expect(store.unfinished == [])
        }

        @Test func aKilledStartLeavesNothingInUse() throws {
            let image = "oci:" + Project.debian("debian-gzip")
            let process = try swiftlet.start(["run", image, "true"], .noInput)
            // The second one is the map, made just before the machine is started.
            let started = Date(timeIntervalSinceNow: 60)
            while store.unfinished.filter({ $0.hasPrefix("unfinished") }).count < 2, Date() < started { usleep(10_000) }
            usleep(500_000)
            process.signal(SIGKILL)
            #expect(process.finish().ending == .signalled(SIGKILL))
            #expect(store.maps == [])
            // Its machine has nobody to unpack for.
            let deadline = Date(timeIntervalSinceNow: 30)
            while hasMachines, Date() < deadline { usleep(10_000) }
            #expect(!hasMachines)
            let next = try swiftlet.start(["run", Project.busybox, "echo", "next"], .noInput).finish()
            expectOutput(next, "next\n")
            #expect(store.unfinished == [])
        }

        @Test func evictionSparesWhatRuns() throws {
            let running = try swiftlet.start(["run", "-i", Project.busybox, "sh", "-c", "echo up; read line; ls /bin | grep -x sh"], .pipes)
            #expect(running.sees("up\n"))
            var small = swiftlet
            small.environment["SWIFTLET_DISK_LIMIT"] = "1"
            expectOutput(try small.shell([], image: Project.bad("absolute"), "cat /escaped"), "out\n")
            // The running one's, and that which was just unpacked: it was in use too.
            #expect(store.maps.count == 2)
            running.send(Array("go on\n".utf8))
            running.closeInput()
            #expect(running.finish().text == "up\nsh\n")
            expectOutput(try small.shell([], image: Project.bad("link-root"), "cat /escaped"), "out\n")
            #expect(store.maps.count == 1)
            let mistake = try swiftlet.start(["run", Project.busybox, "true"], .noInput)
            #expect(mistake.finish().ending == .exited(0))
        }

        @Test func aLimitThatIsNoneIsExplained() throws {
            var swiftlet = swiftlet
            swiftlet.environment["SWIFTLET_DISK_LIMIT"] = "much"
            expectRefusal(try swiftlet.run([], ["true"]), naming: ["SWIFTLET_DISK_LIMIT", "much", "20g"])
        }
    }
}
