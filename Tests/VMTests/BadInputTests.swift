// Bad images and bad hosts: one sentence that names the thing, the documented exit status, and nothing left behind.
import Foundation
import Testing

extension VirtualMachines {
    @Suite struct BadImages {
        let swiftlet: Swiftlet

        init() throws { swiftlet = try Swiftlet() }

        /// What the host finds in the image's documents, before any machine is started.
        @Test(arguments: [
            ("missing", ["missing"]), ("nothing", ["nothing"]), ("text", ["text"]), ("empty", ["empty"]), ("truncated.oci.tar", ["truncated"]),
            ("truncated.docker.tar", ["truncated"]), ("compressed.oci.tar.gz", ["compressed", "gunzip"]),
            ("unknown-layer-type", ["layer 1", "application/vnd.example.layer.v1.tar+7z"]),
            ("unknown-manifest-type", ["application/vnd.example.manifest.v9+json"]), ("wrong-architecture", ["arm64", "amd64"]),
            ("invalid-configuration", ["configuration", "Cmd"]), ("manifest-corrupted", ["manifest", "digest"]),
            ("manifest-truncated", ["manifest", "truncated"]), ("manifest-missing", ["manifest", "missing"]),
            ("configuration-corrupted", ["configuration", "digest"]), ("configuration-truncated", ["configuration", "truncated"]),
            ("configuration-missing", ["configuration", "missing"]), ("layer-truncated", ["layer 1", "truncated"]),
            ("layer-missing", ["layer 1", "missing"]), ("no-command", ["no command"]),
        ])
        func foundByTheHost(image: String, words: [String]) throws {
            let name = Project.bad(image)
            expectRefusal(try swiftlet.run(image: name, image == "no-command" ? [] : ["/bin/true"]), naming: words)
        }

        @Test func referencesThatNameNothing() throws {
            let layout = Project.basic("busybox")
            expectRefusal(try swiftlet.run(image: layout + ":absent", ["/bin/true"]), naming: ["absent", "latest", "configured"])
            expectRefusal(try swiftlet.run(image: layout + ":@99", ["/bin/true"]), naming: ["@99"])
            expectRefusal(try swiftlet.run(image: "oci:/does/not/exist", ["/bin/true"]), naming: ["/does/not/exist"])
            let notPulled = try swiftlet.run(["--pull=never"], image: "busybox", ["/bin/true"])
            expectRefusal(notPulled, naming: ["busybox", "not in the store", "swiftlet pull"])
            expectRefusal(try swiftlet.run(image: "docker://busybox", ["/bin/true"]), naming: ["docker", "skopeo copy"])
            expectRefusal(try swiftlet.run(image: "oci-archive:" + layout, ["/bin/true"]), naming: ["archive"])
            expectRefusal(try swiftlet.run(image: "oci:" + Project.basic("busybox.oci.tar"), ["/bin/true"]), naming: ["directory"])
            expectRefusal(try swiftlet.run(image: "", ["/bin/true"]), naming: ["empty"])
        }

        /// What only the guest finds, who alone reads layers.
        @Test(arguments: [
            ("layer-corrupted", ["layer 1", "corrupted", "digest"]), ("wrong-diff-id", ["layer 2", "corrupted", "digest"]),
            ("cut-tar", ["layer 1", "ends in the middle"]),
            ("cut-gzip", ["layer 1", "truncated"]), ("cut-zstd", ["layer 1", "truncated"]), ("nonsense-tar", ["layer 1"]),
            ("nonsense-gzip", ["layer 1", "gzip"]), ("corrupted.oci.tar", ["layer 1"]), ("corrupted.docker.tar", ["layer 1"]),
        ])
        func foundByTheGuest(image: String, words: [String]) throws {
            expectRefusal(try swiftlet.run(image: Project.bad(image), ["/bin/true"]), naming: words)
        }

        /// 10 GiB of zeros into a store that is too small for them. What was there stays, and a good image still fits.
        @Test(.enabled(if: Project.isRoot, "only root can mount a small file system"), arguments: ["bomb-gzip", "bomb-zstd"])
        func bomb(image: String) throws {
            let store = swiftlet.directory.path + "/store"
            try FileManager.default.createDirectory(atPath: store, withIntermediateDirectories: false)
            let command = """
                mount -t tmpfs -o size=64m none \(store) && export SWIFTLET_STORE=\(store) &&
                \(Project.program) run \(Project.busybox) /bin/true && ls -A \(store)/disks >\(store)/before
                \(Project.program) run \(Project.bad(image)) /bin/true; status=$?
                ls -A \(store)/disks | grep -v -e map -e blocks
                \(Project.program) run \(Project.busybox) /bin/true || echo lost
                exit $status
                """
            let outcome = try TestProcess(["/usr/bin/unshare", "--mount", "/bin/sh", "-c", command], environment: swiftlet.environment, .noInput)
                .finish()
            expectRefusal(outcome, naming: ["No space left on device", store, "SWIFTLET_STORE"])
        }
    }

    @Suite struct BadHosts {
        let swiftlet: Swiftlet

        init() throws { swiftlet = try Swiftlet() }

        @Test func kernelThatIsNone() throws {
            let text = try swiftlet.directory.file("text", String(repeating: "no kernel\n", count: 1000))
            let empty = try swiftlet.directory.file("empty")
            let vmlinux = try Data(contentsOf: URL(filePath: Project.share + "/vmlinux"))
            let short = try swiftlet.directory.file("short", Array(vmlinux.prefix(1_000_000)))
            let header = try swiftlet.directory.file("header", Array(vmlinux.prefix(100)))
            for path in [text, empty, short, header, "/bin/bash"] {
                expectRefusal(try swiftlet.run(["--kernel", path], ["/bin/true"]), naming: ["kernel"])
            }
            expectRefusal(try swiftlet.run(["--kernel", "/does/not/exist"], ["/bin/true"]), naming: ["kernel", "/does/not/exist", "--kernel"])
            expectRefusal(try swiftlet.run(["--kernel", "/etc"], ["/bin/true"]), naming: ["kernel", "/etc", "directory"])
        }

        /// The files of an incomplete installation.
        @Test(arguments: ["share/swiftlet/vmlinux", "share/swiftlet/initrd", "bin/swiftlet-vmm"])
        func installationWithout(file: String) throws {
            let copy = try Installation(in: swiftlet.directory)
            try FileManager.default.removeItem(atPath: copy.path + "/" + file)
            let outcome = try TestProcess([copy.program, "run", Project.busybox, "/bin/true"], environment: swiftlet.environment, .noInput).finish()
            expectRefusal(outcome, naming: [file.split(separator: "/").last.map(String.init) ?? file, "nstall"])
        }

        @Test func tooLittleMemory() throws {
            // The least that is accepted: it either works or says that memory is what is missing.
            for size in ["32m", "40m"] {
                let outcome = try swiftlet.run(["--memory", size], ["/bin/echo", "enough"])
                if outcome.ending == .exited(0) {
                    expectOutput(outcome, "enough\n")
                } else {
                    expectRefusal(outcome, naming: ["memory", "--memory"])
                }
            }
            let image = "oci:" + Project.debian("debian-gzip")
            expectRefusal(try swiftlet.run(["--memory", "31m"], ["/bin/true"]), naming: ["31m", "32m"], hint: true)
            // An image may be larger than the memory: it is on a disk.
            expectOutput(try swiftlet.run(["--memory", "64m"], image: image, ["/bin/echo", "enough"]), "enough\n")
        }

        @Test func moreMemoryThanTheHostHas() throws {
            let outcome = try swiftlet.run(["--memory", "1t"], ["/bin/true"])
            if outcome.ending != .exited(0) { expectRefusal(outcome, naming: ["memory"]) }
        }

        @Test(.enabled(if: Project.isRoot, "only root can become another user"))
        func noPermissionForKVM() throws {
            // The images and programs may lie where others can't read them.
            let copy = try Installation(in: swiftlet.directory)
            try FileManager.default.copyItem(atPath: Project.basic("busybox.oci.tar"), toPath: swiftlet.directory.path + "/image.tar")
            let node = try swiftlet.directory.file("kvm")
            let command = """
                mount --bind \(node) /dev/kvm && chmod 600 /dev/kvm && install -d -o 65534 \(swiftlet.directory.path)/store && cd / &&
                exec setpriv --reuid=65534 --regid=65534 --clear-groups \(copy.program) run \(swiftlet.directory.path)/image.tar /bin/true
                """
            var environment = swiftlet.environment
            environment["TMPDIR"] = "/tmp"
            environment["SWIFTLET_STORE"] = swiftlet.directory.path + "/store"
            let outcome = try TestProcess(["/usr/bin/unshare", "--mount", "/bin/sh", "-c", command], environment: environment, .noInput).finish()
            expectRefusal(outcome, naming: ["/dev/kvm", "may not be opened", "'kvm'"])
        }

        @Test(.enabled(if: Project.isRoot, "only root can hide /dev/kvm"))
        func noKVM() throws {
            let command = "mount -t tmpfs none /dev && exec \(Project.program) run \(Project.busybox) /bin/true"
            let outcome = try TestProcess(["/usr/bin/unshare", "--mount", "/bin/sh", "-c", command], environment: swiftlet.environment, .noInput)
                .finish()
            expectRefusal(outcome, naming: ["/dev/kvm"])
        }

        /// The scratch file is sparse: the host's disk fills up while the guest writes.
        @Test(.enabled(if: Project.isRoot, "only root can mount a small file system"), arguments: ["64k", "8m"])
        func fullDisk(size: String) throws {
            let directory = swiftlet.directory.path + "/small"
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
            let command = """
                mount -t tmpfs -o size=\(size) none \(directory) && export TMPDIR=\(directory) &&
                \(Project.program) run --storage-size 1g \(Project.busybox) \
                /bin/sh -c 'dd if=/dev/zero of=/big bs=1M count=40 2>/dev/null; sync'; status=$?
                ls -A \(directory); exit $status
                """
            let outcome = try TestProcess(["/usr/bin/unshare", "--mount", "/bin/sh", "-c", command], environment: swiftlet.environment, .noInput)
                .finish()
            expectRefusal(outcome, naming: ["scratch disk", "No space left on device"])
        }

        @Test func temporaryDirectoryThatIsMissing() throws {
            var swiftlet = swiftlet
            swiftlet.environment["TMPDIR"] = "/does/not/exist"
            expectRefusal(try swiftlet.run(["--storage-size", "64m"], ["/bin/true"]), naming: ["/does/not/exist", "TMPDIR"])
        }

        /// The container's own disk, full: its programs are told, the run goes on.
        @Test func fullScratchDiskInside() throws {
            let outcome = try swiftlet.shell(
                ["--storage-size", "32m"],
                "dd if=/dev/zero of=/big bs=64k 2>&1 | grep -o 'No space left on device'; rm /big; df -P / | awk 'END { print $1, ($2 < 32768) }'; exit 2"
            )
            #expect(outcome.ending == .exited(2) && outcome.text == "No space left on device\noverlay 1\n", "\(outcome)")
        }

        @Test func guestThatPanics() throws {
            let outcome = try swiftlet.run(["--initrd", Project.basic("panic.cpio")], ["/bin/true"])
            expectRefusal(outcome, naming: ["kernel", "panic", "Attempted to kill init"])
            let nonsense = try swiftlet.directory.file("nonsense", String(repeating: "x", count: 5000))
            expectRefusal(try swiftlet.run(["--initrd", nonsense], ["/bin/true"]), naming: ["kernel", "panic"])
            expectRefusal(try swiftlet.run(["--initrd", "/does/not/exist"], ["/bin/true"]), naming: ["initrd", "/does/not/exist", "--initrd"])
        }

        /// A kernel that goes on after an oops may leave a container that never ends.
        @Test func anOopsIsAPanic() throws {
            // ud2, an instruction that is none, where the kernel begins to serve sysinfo(2).
            let kernel = try swiftlet.directory.file("broken-vmlinux", try Project.kernel(replacing: "__x64_sys_sysinfo", by: [0x0F, 0x0B]))
            expectOutput(try swiftlet.run(["--kernel", kernel], ["echo", "fine"]), "fine\n")
            let outcome = try swiftlet.run(["--kernel", kernel], ["free"])
            #expect(outcome.ending == .exited(125), "\(outcome)")
            for words in ["kernel gave up: Kernel panic", "Oops: invalid opcode", "RIP: 0010:__x64_sys_sysinfo"] {
                #expect(outcome.errorText.contains(words), "\(outcome)")
            }
            #expect(outcome.errorText.split(separator: "\n").count == 1)
        }

        @Test(arguments: [false, true])
        func killedInTheMiddle(whileBooting: Bool) throws {
            let before = Leftovers.now(besides: swiftlet.directory.path)
            let process = try swiftlet.start(
                ["run", "-i", "--name", "victim", "--storage-size", "64m", Project.busybox, "/bin/sh", "-c", "echo up; cat"])
            if !whileBooting { #expect(process.sees("up\n")) }
            process.signal(SIGKILL)
            #expect(process.finish().ending == .signalled(SIGKILL))
            // The machine dies with it, and its name is free.
            for _ in 0..<1000 where Leftovers.now(besides: swiftlet.directory.path).processes != before.processes { usleep(10_000) }
            let next = try swiftlet.start(["run", "--name", "victim", Project.busybox, "/bin/echo", "next"], .noInput).finish()
            expectOutput(next, "next\n")
            // The next machine has taken the cgroup away.
            #expect(Leftovers.now(besides: swiftlet.directory.path) == before)
        }

        @Test func helpAndDoctor() throws {
            for arguments in [["--help"], ["run", "--help"], ["doctor", "--help"], ["create", "--help"], ["exec", "--help"], ["--version"]] {
                let outcome = try swiftlet(arguments)
                #expect(outcome.ending == .exited(0) && !outcome.text.isEmpty && outcome.errorText == "", "\(outcome)")
            }
            for word in ["push", "logs", "frobnicate"] {
                let outcome = try swiftlet([word])
                #expect(outcome.ending == .exited(125) && outcome.errorText.contains(word), "\(outcome)")
            }
            let words = try swiftlet(["doctor"])
            #expect(words.ending == .exited(0) && words.text.contains("/dev/kvm"), "\(words)")
            let report = try swiftlet(["doctor", "--json"])
            #expect(report.ending == .exited(0), "\(report)")
            _ = try #require(try JSONSerialization.jsonObject(with: Data(report.output)) as? [String: Any])
        }
    }
}
