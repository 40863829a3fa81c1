// Directories and files of the host in a container (--volume, --mount): what is there, whose it is, and what the processes are that serve it (docs/adr/0016).
import Foundation
import Glibc
import Testing

extension VirtualMachines {
    @Suite struct HostFiles {
        let swiftlet: Swiftlet
        /// On the host.
        let tree: String

        init() throws {
            swiftlet = try Swiftlet()
            tree = swiftlet.directory.path + "/tree"
            try FileManager.default.createDirectory(atPath: tree, withIntermediateDirectories: false)
        }

        private func put(_ name: String, _ contents: String) throws { try Data(contents.utf8).write(to: URL(filePath: tree + "/" + name)) }
        private func get(_ name: String) -> String? { try? String(contentsOfFile: tree + "/" + name, encoding: .utf8) }

        private func status(_ name: String) throws -> stat {
            var status = stat()
            // SAFETY: lstat writes one `stat`.
            guard unsafe lstat(tree + "/" + name, &status) == 0 else { throw TestError("\(name)") }
            return status
        }

        @Test func aDirectoryIsReadAndWritten() throws {
            try put("file", "from the host\n")
            try FileManager.default.createDirectory(atPath: tree + "/empty", withIntermediateDirectories: false)
            let script = """
                cd /a/new/place; cat file; ls; echo changed >> file; mkdir -p d/e; echo deep > d/e/f; ln -s ../file d/link; cat d/link; ln file twin; mv d/e/f moved
                rmdir empty; chmod 4751 moved; touch -d @1000000000 twin; mkfifo pipe; (echo through > pipe &); cat pipe; rm pipe; truncate -s 5 file
                stat -c '%h %s %F' file; [ "$(stat -c %d .)" != "$(stat -c %d /)" ] && echo another file system; df . | tail -1 | grep -c /a/new/place
                """
            expectOutput(
                try swiftlet.shell(["-v", "\(tree):/a/new/place"], script),
                "from the host\nempty\nfile\nfrom the host\nchanged\nthrough\n2 5 regular file\nanother file system\n1\n")
            #expect(get("file") == "from " && get("moved") == "deep\n" && get("pipe") == nil)
            #expect(try FileManager.default.contentsOfDirectory(atPath: tree).sorted() == ["d", "file", "moved", "twin"])
            #expect(try FileManager.default.destinationOfSymbolicLink(atPath: tree + "/d/link") == "../file")
            #expect(try status("moved").st_mode == S_IFREG | 0o4751)
            let (file, twin) = (try status("file"), try status("twin"))
            #expect(file.st_ino == twin.st_ino && file.st_nlink == 2)
            // The last change of size was later.
            #expect(twin.st_mtim.tv_sec > 1_000_000_000 && file.st_atim.tv_sec >= 1_000_000_000)
        }

        @Test func whatIsReadOnlyStaysAsItIs() throws {
            try put("file", "as it was\n")
            let script = """
                cat /data/file; for command in 'touch /data/new' 'rm /data/file' 'chmod 777 /data/file' 'mkdir /data/d' 'mv /data/file /data/g' 'ln /data/file /data/h'; do
                $command 2>/dev/null && echo "$command went well"; done; echo x 2>/dev/null >> /data/file || echo refused; grep -o ' /data virtiofs ro' /proc/mounts
                """
            for options in [["-v", "\(tree):/data:ro"], ["--mount", "type=bind,source=\(tree),target=/data,readonly"]] {
                expectOutput(try swiftlet.shell(options, script), "as it was\nrefused\n /data virtiofs ro\n")
            }
            // Even for who takes the guest's word back: the host has the last one.
            let outcome = try swiftlet.shell(
                ["--privileged", "-v", "\(tree):/data:ro"], "mount -o remount,rw,bind /data && touch /data/new; echo $?")
            #expect(outcome.text == "1\n" && outcome.errorText.contains("Read-only file system"), "\(outcome)")
            #expect(try FileManager.default.contentsOfDirectory(atPath: tree) == ["file"] && get("file") == "as it was\n")
        }

        @Test func oneFileIsEnough() throws {
            try put("one", "1\n")
            try put("two", "2\n")
            let options = ["-v", "\(tree)/one:/etc/passwd:ro", "-v", "\(tree)/two:/new/file", "-v", "\(tree):/all"]
            expectOutput(
                try swiftlet.shell(
                    options, "cat /etc/passwd /new/file; echo changed > /new/file; cat /all/two; echo x 2>/dev/null > /etc/passwd || echo no"),
                "1\n2\nchanged\nno\n")
            #expect(get("two") == "changed\n" && get("one") == "1\n")
        }

        @Test func mountsOfTheHostComeAlong() throws {
            guard Project.isRoot else { return }
            try FileManager.default.createDirectory(atPath: tree + "/below", withIntermediateDirectories: false)
            // SAFETY: the strings outlive the calls.
            try #require(unsafe mount("tmpfs", tree + "/below", "tmpfs", 0, nil) == 0)
            defer { _ = unsafe umount2(tree + "/below", 0) }
            try put("below/file", "on another file system\n")
            let script =
                "cat /data/below/file; [ $(stat -c %d /data) != $(stat -c %d /data/below) ] && echo apart; rmdir /data/below 2>/dev/null || echo busy"
            expectOutput(try swiftlet.shell(["-v", "\(tree):/data"], script), "on another file system\napart\nbusy\n")
        }

        /// A path means what it means to whoever names it.
        @Test func inAnotherRootPathsAreItsOwn() throws {
            guard Project.isRoot else { return }
            try put("file", "found\n")
            let root = swiftlet.directory.path + "/root"
            try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: false)
            var inside = swiftlet
            // In mounts of its own, which go with it.
            inside.starter = ["/usr/bin/unshare", "-m", "/bin/sh", "-c", "mount --rbind / \(root) && exec chroot \(root) \"$@\"", "sh"]
            let outcome = try inside.start(["run", "-v", "\(tree):/data", Project.busybox, "/bin/cat", "/data/file"], .noInput).finish()
            expectOutput(outcome, "found\n")
        }

        @Test(.enabled(if: Project.isRoot, "only root's files can belong to others")) func filesBelongToWhoMakesThem() throws {
            _ = unsafe chmod(tree, 0o777)
            let script = """
                cd /data; touch mine; su -s /bin/sh nobody -c 'touch theirs; mkdir dir; ln -s x link; chown 0 theirs 2>/dev/null; cat secret 2>/dev/null; echo x 2>/dev/null > mine'
                chown 1234:567 given; mknod null c 1 3; echo gone > null; [ -c null ] && stat -c %t:%T null; stat -c %u:%g theirs
                """
            try put("given", "")
            try put("secret", "")
            _ = unsafe chmod(tree + "/secret", 0o600)
            expectOutput(try swiftlet.shell(["-v", "\(tree):/data"], script), "1:3\n65534:65534\n")
            for (name, user, group) in [
                ("mine", UInt32(0), UInt32(0)), ("theirs", 65534, 65534), ("dir", 65534, 65534), ("link", 65534, 65534), ("given", 1234, 567),
            ] {
                let status = try status(name)
                #expect(status.st_uid == user && status.st_gid == group, "\(name)")
            }
            let device = try status("null")
            #expect(device.st_mode & S_IFMT == S_IFCHR && device.st_rdev == 0x103)
        }

        /// A second is what a guest may believe a name.
        @Test func changesOnTheHostAreSeen() throws {
            try put("file", "old\n")
            let script = "cat /data/file; ls /data; echo up; read line; cat /data/file; ls /data; cat /data/new"
            let process = try swiftlet.start(["run", "-i", "-v", "\(tree):/data", Project.busybox, "/bin/sh", "-c", script])
            #expect(process.sees("up\n", within: 150))
            try put("file", "and longer\n")
            try put("new", "here\n")
            sleep(2)
            process.send("\n")
            expectOutput(process.finish(), "old\nfile\nup\nand longer\nfile\nnew\nhere\n")
        }

        /// What a link names, it names in the container.
        /// More than one answer lists, in a file system that finds a place by counting what is left (tmpfs before Linux 6.6).
        @Test func whatIsRemovedWhileItIsListedIsListed() throws {
            for index in 0..<300 { try put("file \(index)", "") }
            expectOutput(
                try swiftlet.shell(
                    ["-v", "\(tree):/data"], "cd /data; rm -r * && ls | wc -l; mkdir d; cd d; seq 300 | xargs touch; rm -r ../d; ls .. | wc -l"),
                "0\n0\n")
        }

        @Test func linksDontLeadOut() throws {
            try put("secret", "of the host\n")
            let inner = tree + "/inner"
            try FileManager.default.createDirectory(atPath: inner, withIntermediateDirectories: false)
            try FileManager.default.createSymbolicLink(atPath: inner + "/up", withDestinationPath: "../secret")
            try FileManager.default.createSymbolicLink(atPath: inner + "/far", withDestinationPath: tree + "/secret")
            try FileManager.default.createSymbolicLink(atPath: inner + "/hosts", withDestinationPath: "/etc/hostname")
            let script = "cd /data; cat up 2>/dev/null; cat far 2>/dev/null; cat ../data/../secret 2>/dev/null; cat hosts; ls -d .. | cat"
            expectOutput(try swiftlet.shell(["-v", "\(inner):/data", "--hostname", "inside"], script), "inside\n..\n")
        }

        @Test func twoMachinesShareADirectory() throws {
            let reader = try swiftlet.start(
                [
                    "run", "-v", "\(tree):/in:ro", Project.busybox, "/bin/sh", "-c",
                    "echo up; until [ -e /in/done ]; do sleep 0.2; done; md5sum < /in/data",
                ],
                .noInput)
            #expect(reader.sees("up\n", within: 150))
            let writer = try swiftlet.start(
                [
                    "run", "-v", "\(tree):/out", Project.busybox, "/bin/sh", "-c",
                    "yes | head -c 3000000 > /out/data; md5sum < /out/data; touch /out/done",
                ],
                .noInput)
            let written = writer.finish()
            expectOutput(reader.finish(), "up\n" + written.text)
            #expect(written.text.hasSuffix("  -\n") && written.text.count == 36)
        }

        /// Against what the same calls do to memory: reads, writes, maps, sizes, holes; then locks, a database, and many names.
        @Test func filesBehaveAsFiles() throws {
            try put("program.py", Self.program)
            let outcome = try swiftlet(["run", "-v", "\(tree):/data", "oci:" + Project.real("python"), "python", "/data/program.py"], within: 400)
            expectOutput(outcome, "as in memory\nlocked by another\n1000 rows\n1000 names\n")
            #expect(try FileManager.default.contentsOfDirectory(atPath: tree).sorted() == ["database", "file", "program.py"])
        }

        private static let program = """
            import fcntl, mmap, os, random, sqlite3, sys
            random.seed(7)
            os.chdir('/data')
            file, model = os.open('file', os.O_RDWR | os.O_CREAT, 0o644), bytearray()
            for step in range(400):
                offset, count = random.randrange(200_000), random.randrange(1, 20_000)
                what = random.randrange(8)
                if what < 3:
                    data = random.randbytes(count)
                    os.pwrite(file, data, offset)
                    if len(model) < offset: model.extend(bytes(offset - len(model)))
                    model[offset:offset + count] = data
                elif what < 5:
                    assert os.pread(file, count, offset) == bytes(model[offset:offset + count]), step
                elif what == 5:
                    os.ftruncate(file, offset)
                    model = model[:offset] + bytes(max(0, offset - len(model)))
                elif what == 6 and len(model) > 0:
                    with mmap.mmap(file, len(model)) as memory:
                        start = random.randrange(len(model))
                        part = memory[start:start + count]
                        assert part == bytes(model[start:start + count]), step
                        data = random.randbytes(len(part))
                        memory[start:start + len(data)] = data
                        model[start:start + len(data)] = data
                else:
                    os.fsync(file)
                    again = os.open('file', os.O_RDONLY)
                    assert os.fstat(again).st_size == len(model), step
                    os.close(again)
            with open('file', 'rb') as whole: assert whole.read() == bytes(model)
            print('as in memory')
            fcntl.flock(file, fcntl.LOCK_EX)
            fcntl.lockf(file, fcntl.LOCK_EX, 10)
            child = os.fork()
            if child == 0:
                other = os.open('file', os.O_RDWR)
                for lock in (lambda: fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB), lambda: fcntl.lockf(other, fcntl.LOCK_EX | fcntl.LOCK_NB, 5)):
                    try:
                        lock()
                        os._exit(1)
                    except BlockingIOError: pass
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            print('locked by another')
            database = sqlite3.connect('database')
            database.execute('pragma journal_mode=wal')
            database.execute('create table t (i integer primary key, s text)')
            with database: database.executemany('insert into t (s) values (?)', [(str(i),) for i in range(1000)])
            print(database.execute('select count(*) from t').fetchone()[0], 'rows')
            database.close()
            os.mkdir('many')
            for i in range(1000): os.close(os.open('many/%d' % i, os.O_CREAT | os.O_WRONLY))
            print(len(set(os.listdir('many'))), 'names')
            for i in range(1000): os.unlink('many/%d' % i)
            os.rmdir('many')
            """

        // MARK: The server

        /// A container with the tree at /data, and the pids of its VMM and of its file server.
        private func withServer(
            _ script: String = "echo up; read line; cat /data/file", _ body: (TestProcess, _ vmm: Int32, _ server: Int32) throws -> Void
        ) throws {
            try put("file", "served\n")
            let process = try swiftlet.start(["run", "-i", "-v", "\(tree):/data", Project.busybox, "/bin/sh", "-c", script])
            defer { process.signal(SIGKILL) }
            #expect(process.sees("up\n", within: 150))
            let children = try String(contentsOfFile: "/proc/\(process.pid)/task/\(process.pid)/children", encoding: .utf8)
            var pids: [String: Int32] = [:]
            for pid in children.split(separator: " ").compactMap({ Int32($0) }) {
                pids[try String(contentsOfFile: "/proc/\(pid)/comm", encoding: .utf8).trimmingCharacters(in: .newlines)] = pid
            }
            try body(process, try #require(pids["swiftlet-vmm"]), try #require(pids["swiftlet-files"]))
        }

        @Test func theServerIsConfined() throws {
            try withServer { process, vmm, server in
                let status = VMMState.status("/proc/\(server)/status")
                // CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SETGID, SETUID, MKNOD, SETFCAP.
                for (set, value) in [("CapInh", "0"), ("CapPrm", "880000db"), ("CapEff", "880000db"), ("CapBnd", "0"), ("CapAmb", "0")] {
                    #expect(status[set] == String(repeating: "0", count: 16 - value.count) + value, "\(set) \(status[set] ?? "")")
                }
                #expect(status["NoNewPrivs"] == "1" && status["Seccomp"] == "2" && status["Seccomp_filters"] == "1" && status["Threads"] == "1")
                for name in ["mnt", "pid", "ipc", "uts", "net", "cgroup"] {
                    let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/\(name)")
                    #expect(try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(server)/ns/\(name)") != own, "\(name)")
                }
                #expect(try FileManager.default.contentsOfDirectory(atPath: "/proc/\(server)/root/") == [])
                #expect(try String(contentsOfFile: "/proc/\(server)/environ", encoding: .utf8) == "")
                #expect(
                    try String(contentsOfFile: "/proc/\(server)/mounts", encoding: .utf8).split(separator: "\\n").count == 1, "no mount but the root")
                // The root itself, out of which nothing leads.
                let above = try FileManager.default.attributesOfItem(atPath: "/proc/\(server)/root/..")
                #expect(
                    above[.systemFileNumber] as? Int
                        == (try FileManager.default.attributesOfItem(atPath: "/proc/\(server)/root/")[.systemFileNumber] as? Int))
                if Project.isRoot {
                    #expect(
                        try String(contentsOfFile: "/proc/\(server)/cgroup", encoding: .utf8)
                            == String(contentsOfFile: "/proc/\(vmm)/cgroup", encoding: .utf8))
                }
                // The VMM has gained nothing but a socket.
                #expect(VMMState.status("/proc/\(vmm)/status")["CapPrm"] == "0000000000000000")
                process.send("\n")
                expectOutput(process.finish(), "up\nserved\n")
            }
        }

        @Test func theServerEndsWithItsMachine() throws {
            try withServer { process, vmm, server in
                kill(vmm, SIGKILL)
                #expect(process.finish(within: 30).ending == .exited(128 + SIGKILL))
                #expect(VMMState.waitForEnd(of: server))
            }
            try withServer { process, vmm, server in
                process.signal(SIGKILL)
                #expect(VMMState.waitForEnd(of: vmm) && VMMState.waitForEnd(of: server))
            }
        }

        @Test func aMachineWithoutItsServerEnds() throws {
            try withServer { process, _, server in
                kill(server, SIGKILL)
                process.send("\n")
                let outcome = process.finish(within: 30)
                #expect(outcome.ending == .exited(125), "\(outcome)")
                #expect(outcome.errorText.hasPrefix("swiftlet: ") && outcome.errorText.contains("file server"), "\(outcome)")
            }
        }

        // MARK: Wrong input

        @Test func whatCannotBeShownIsRefused() throws {
            let socket = tree + "/socket"
            let listener = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
            defer { close(listener) }
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            // SAFETY: the path is shorter than the field; bind reads one address.
            unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: socket.utf8) }
            let length = socklen_t(MemoryLayout<sockaddr_un>.size)
            unsafe withUnsafePointer(to: &address) {
                unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { _ = unsafe bind(listener, $0, length) }
            }
            expectRefusal(try swiftlet.run(["-v", "\(socket):/s"], ["/bin/true"]), naming: [socket, "neither a directory nor a regular file"])
            expectRefusal(
                try swiftlet.run(["--mount", "type=bind,src=\(tree)/none,dst=/s"], ["/bin/true"]),
                naming: ["\(tree)/none", "No such file or directory"])
            expectRefusal(try swiftlet.run(["-v", "data:/s"], ["/bin/true"]), naming: ["named volumes"], hint: true)
            try put("file", "")
            expectRefusal(try swiftlet.run(["-v", "\(tree)/file/x:/s"], ["/bin/true"]), naming: ["Not a directory"])
            // As with Docker, what is missing is made.
            expectOutput(try swiftlet.shell(["-v", "\(tree)/a/b:/s"], "echo x > /s/y"), "")
            #expect(get("a/b/y") == "x\n")
            // A file has no place where there is a directory.
            let outcome = try swiftlet.run(["-v", "\(tree):/etc/hostname"], ["/bin/true"])
            #expect(outcome.ending == .exited(125) && outcome.errorText.contains("/etc/hostname"), "\(outcome)")
        }

        @Test func aFullHostIsSaid() throws {
            guard Project.isRoot else { return }
            // SAFETY: the strings outlive the calls.
            try #require(unsafe mount("tmpfs", tree, "tmpfs", 0, "size=1m") == 0)
            defer { _ = unsafe umount2(tree, 0) }
            let outcome = try swiftlet.shell(
                ["-v", "\(tree):/data"],
                "dd if=/dev/zero of=/data/file bs=64k count=40 2>&1 | grep -o 'No space left on device'; rm /data/file; touch /data/ok; ls /data")
            expectOutput(outcome, "No space left on device\nok\n")
        }

        /// Everything belongs to the one user that there is.
        @Test(.enabled(if: Project.isRoot, "only root can become another user")) func anOrdinaryUserSharesTheirFiles() throws {
            let copy = try Installation(in: swiftlet.directory)
            try FileManager.default.copyItem(atPath: Project.basic("busybox.oci.tar"), toPath: swiftlet.directory.path + "/image.tar")
            let kvm = try FileManager.default.attributesOfItem(atPath: "/dev/kvm")[.groupOwnerAccountID] as? Int ?? 0
            let store = swiftlet.directory.path + "/store"
            try put("given", "theirs\n")
            try put("roots", "")
            let script = """
                install -d -o 65534 \(store) && chown 65534:65534 \(tree) \(tree)/given && cd / && exec setpriv --reuid=65534 --regid=65534 --groups=\(kvm) --bounding-set=-all \
                --no-new-privs \(copy.program) run -v \(tree):/data \(swiftlet.directory.path)/image.tar /bin/sh -c 'cd /data; cat given; echo new > new; stat -c %u new given
                echo x 2>/dev/null > roots || echo no; chown 5 new 2>/dev/null || echo no'
                """
            var environment = swiftlet.environment
            environment["SWIFTLET_STORE"] = store
            try FileManager.default.setAttributes([.posixPermissions: 0o660], ofItemAtPath: "/dev/kvm")
            let outcome = try TestProcess(["/bin/sh", "-c", script], environment: environment, .noInput).finish()
            expectOutput(outcome, "theirs\n0\n0\nno\nno\n")
            #expect(try status("new").st_uid == 65534)
        }
    }
}
