// Layers: everything they may hold arrives as it was packed, and nothing in them gets out of the root file system.
import Foundation
import Testing

extension VirtualMachines {
    @Suite struct Layers {
        let swiftlet: Swiftlet

        init() throws { swiftlet = try Swiftlet() }

        @Test(arguments: [[], ["--storage-size", "64m"]])
        func everythingThatALayerMayHold(options: [String]) throws {
            let long = String(repeating: "n", count: 200)
            let script = """
                cd /data
                cat keep replaced opaque/new becomes-directory/inside becomes-file
                ls -A opaque; ls -d removed removed-directory .wh* 2>/dev/null
                stat -c '%n %F' becomes-directory becomes-file empty
                [ hard-a -ef hard-b ] && [ keep -ef hard-c ] && stat -c '%h %h' hard-a keep
                for f in link absolute-link dangling long-link gnu-long-link; do readlink $f; done; stat -c %u:%g link
                cat */*/file */*/gnu-file not-utf8-* 'a name with blanks'
                echo not-utf8-* | od -An -tx1 | tail -c 10
                for f in sparse gnu-sparse sparse-0.0 sparse-0.1 sparse-1.0; do echo $f $(stat -c '%s' $f) $(sha256sum <$f | cut -c1-8) $(( $(stat -c %b $f) < 200 )); done
                stat -c '%n %F %a %u:%g %t:%T' characters blocks pipe set-id group-directory large-owner
                stat -c '%y' dated
                probe attribute coloured user.colour
                echo x >characters && head -c 1 characters | wc -c
                """
            let outcome = try swiftlet.shell(options, image: "oci:" + Project.layered("layered"), script)
            let sparse = Self.sparseSum
            expectOutput(
                outcome,
                """
                kept
                new
                new
                new
                new
                new
                becomes-directory directory
                becomes-file regular file
                empty directory
                2 2
                2 2
                keep
                /data/keep
                nowhere
                /\(long)/\(long)
                /gnu/\(long)/\(long)
                1234:2345
                long
                gnu long
                bytes
                blank
                 ff fe 0a
                sparse 10485764 \(sparse) 0
                gnu-sparse 3145731 \(Self.gnuSparseSum) 1
                sparse-0.0 10485764 \(sparse) 1
                sparse-0.1 10485764 \(sparse) 1
                sparse-1.0 10485764 \(sparse) 1
                characters character special file 666 1234:2345 1:3
                blocks block special file 640 0:0 7:1
                pipe fifo 620 1234:2345 0:0
                set-id regular file 6755 1234:2345 0:0
                group-directory directory 2775 0:0 0:0
                large-owner regular empty file 0 3000000:3000001 0:0
                2001-02-03 04:05:06.123456789 +0000
                626c756520677265656e
                0

                """)
        }

        /// The first digits of the sums of 10 MiB with "middle" at 5000000 and "tail" at the end, and of 3 MiB with "end" at the end.
        private static let sparseSum = "675a246d"
        private static let gnuSparseSum = "224aecff"

        @Test func manyLayers() throws {
            expectOutput(
                try swiftlet.shell([], image: Project.layered("many"), "ls /many | wc -l; cat /many/last /many/1 /many/126"), "127\n126\n1\n126\n")
        }

        /// A path that names something above the root is refused.
        @Test(arguments: ["dotdot", "inner-dotdot", "hard-link-out"])
        func climbingOutByName(image: String) throws {
            let name = image == "hard-link-out" ? "stolen" : "escaped"
            expectRefusal(try swiftlet.run(image: Project.bad(image), ["/bin/true"]), naming: ["layer 2", name])
        }

        /// What a link or a slash means is decided inside the root: the file lands there, not above it.
        @Test(arguments: ["absolute", "link-root", "link-parent", "link-relative"])
        func climbingOutByLinks(image: String) throws {
            expectOutput(try swiftlet.shell([], image: Project.bad(image), "cat /escaped; ls -A / | grep '^\\.'; echo end"), "out\nend\n")
        }

        /// Nothing is mounted at /proc while layers are unpacked: the link leads nowhere, or to a directory of the image.
        @Test(arguments: ["link-proc-root", "link-proc-directory"])
        func climbingOutByProc(image: String) throws {
            let outcome = try swiftlet.shell([], image: Project.bad(image), "find / -xdev -name escaped")
            if outcome.ending == .exited(0) {
                #expect(outcome.lines.allSatisfy { $0.hasPrefix("/proc/") || $0 == "/way/escaped" }, "\(outcome)")
            } else {
                expectRefusal(outcome, naming: ["layer 2", "escaped"])
            }
        }

        /// The runtime's own files replace what the image has there; a link does not lead them elsewhere.
        @Test func injectedFilesDoNotFollowLinks() throws {
            let script = "stat -c '%n %F' /etc/hosts /etc/hostname /etc/resolv.conf; cat /etc/hostname"
            expectOutput(
                try swiftlet.shell(["--hostname", "box"], image: Project.bad("injected"), script),
                "/etc/hosts regular file\n/etc/hostname regular file\n/etc/resolv.conf regular empty file\nbox\n")
        }
    }
}
