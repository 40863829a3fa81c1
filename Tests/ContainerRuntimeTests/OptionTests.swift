import AgentProtocol
import Jail
import LaunchConfiguration
import Testing
import Wire

@testable import ContainerRuntime

private func parse(_ words: [String]) throws -> RunOptions? {
    switch try RunOptions.parse(words.map { Text($0) }) {
    case .help: nil
    case .run(let options): options
    }
}

private func sentence(_ words: [String]) -> String {
    do {
        _ = try parse(words)
        return "no error"
    } catch { return "\(error)" }
}

@Suite struct OptionParserTests {
    @Test func optionsEndAtTheImage() throws {
        let options = try #require(try parse(["-i", "image", "ls", "-t", "--rm", "--", "-x"]))
        #expect(options.interactive)
        #expect(!options.terminal)
        #expect(options.image == "image")
        #expect(options.command == ["ls", "-t", "--rm", "--", "-x"])
    }

    @Test(arguments: [["-it"], ["-ti"], ["-i", "-t"], ["--interactive", "--tty"], ["--interactive=true", "-t=1"]])
    func flagsGoTogether(words: [String]) throws {
        let options = try #require(try parse(words + ["image"]))
        #expect(options.interactive && options.terminal)
    }

    @Test(arguments: [["-u", "root"], ["-uroot"], ["-u=root"], ["--user", "root"], ["--user=root"], ["-itu", "root"], ["-ituroot"]])
    func valuesMayBeJoined(words: [String]) throws {
        #expect(try parse(words + ["image"])?.user == "root")
    }

    @Test func aDoubleDashEndsTheOptions() throws {
        let options = try #require(try parse(["-i", "--", "-image", "x"]))
        #expect(options.image == "-image")
        #expect(options.command == ["x"])
    }

    @Test func aFlagCanBeTakenBack() throws {
        #expect(try parse(["-i", "--interactive=false", "image"])?.interactive == false)
    }

    @Test func aValueMayLookLikeAnOption() throws {
        #expect(try parse(["-e", "--rm=1", "image"])?.environment == ["--rm=1"])
        #expect(try parse(["--entrypoint=", "image"])?.entrypoint == "")
    }

    @Test func confinement() throws {
        let options = try #require(
            try parse([
                "--cap-add", "NET_ADMIN", "--cap-add=cap_sys_time", "--cap-drop", "ALL", "--privileged", "--pids-limit", "100", "--security-opt",
                "no-new-privileges", "--security-opt=seccomp=/p.json", "--security-opt", "systempaths=unconfined", "--security-opt", "label=disable",
                "image",
            ]))
        var expected = ConfinementOptions()
        expected.addedCapabilities = ["NET_ADMIN", "cap_sys_time"]
        expected.droppedCapabilities = ["ALL"]
        expected.isPrivileged = true
        expected.processLimit = 100
        expected.noNewPrivileges = true
        expected.seccomp = .file("/p.json")
        expected.exposesSystemPaths = true
        #expect(options.confinement == expected)
        #expect(try parse(["--security-opt", "seccomp=unconfined", "image"])?.confinement.seccomp == .unconfined)
        #expect(try parse(["--security-opt", "seccomp:builtin", "image"])?.confinement.seccomp == .standard)
        #expect(try parse(["--security-opt", "no-new-privileges:false", "image"])?.confinement.noNewPrivileges == false)
        #expect(try parse(["--pids-limit=-1", "image"])?.confinement.processLimit == 0)
    }

    @Test(arguments: [
        (["--cap-add", "FLY"], "unknown capability \"FLY\""), (["--cap-drop", ""], "unknown capability"),
        (["--security-opt", "x"], "it must be seccomp=FILE"),
        (["--security-opt", "seccomp"], "it must be"), (["--security-opt", "seccomp="], "it must be"),
        (["--security-opt", "no-new-privileges=maybe"], "true or false"), (["--security-opt", "apparmor=docker-default"], "leave it out"),
        (["--pids-limit", "-2"], "a number of processes"), (["--pids-limit", "x"], "a number of processes"),
    ])
    func confinementMistakes(words: [String], problem: String) {
        let text = sentence(words + ["image"])
        #expect(text.contains(problem) && text.contains(words[0]), "\(text)")
    }

    @Test(arguments: [["--help"], ["-it", "--help", "image"]])
    func helpWins(words: [String]) throws {
        #expect(try parse(words) == nil)
    }

    @Test(arguments: [
        ([], "no image: name one after the options"),
        (["-i"], "no image: name one after the options"),
        (["--frob", "image"], "unknown option --frob"),
        (["-x", "image"], "unknown option -x"),
        (["-ix", "image"], "unknown option -x in -ix"),
        (["--memory"], "the option --memory needs a value: --memory SIZE"),
        (["-itm"], "the option -m needs a value: -m SIZE"),
        (["--rm=maybe", "image"], "the option --rm is on or off, not \"maybe\": leave the value out"),
        (["--memory", "lots", "image"], "--memory \"lots\": it is no size: give a number and b, k, m or g, such as 512m"),
        (["-m", "1m", "image"], "-m \"1m\": a machine needs at least 32m: try 512m"),
        (["-m", "2t", "image"], "-m \"2t\": a machine can have at most 1t"),
        (["--storage-size", "1k", "image"], "--storage-size \"1k\": a scratch disk needs at least 16m"),
        (["--cpus", "0", "image"], "--cpus \"0\": it must be a number above 0 and at most 64"),
        (["--cpu-shares", "1", "image"], "--cpu-shares \"1\": it must be a number from 2 to 262144"),
        (["--blkio-weight", "5", "image"], "--blkio-weight \"5\": it must be a number from 10 to 1000"),
        (["--cgroups", "maybe", "image"], "--cgroups \"maybe\": it must be enabled or disabled"),
        (["--cgroup-parent", "/a/../b", "image"], "--cgroup-parent \"/a/../b\": it must be a path such as /machines, without \".\" and \"..\""),
        (["--cpus", "64.5", "image"], "--cpus \"64.5\": it must be a number above 0 and at most 64"),
        (["--cpus", "-1", "image"], "--cpus \"-1\": it must be a number above 0 and at most 64"),
        (["-w", "tmp", "image"], "-w \"tmp\": it must be an absolute path"),
        (["-e", "=x", "image"], "-e \"=x\": there is no variable name: write NAME=VALUE"),
        (
            ["--name", "-x", "image"],
            "--name \"-x\": names are two or more letters, digits, \"_\", \".\" and \"-\", beginning with a letter or digit"
        ),
        (["--name", "x", "image"], "--name \"x\": names are two or more letters, digits, \"_\", \".\" and \"-\", beginning with a letter or digit"),
        (["--hostname", "a b", "image"], "--hostname \"a b\": host names are 1 to 64 letters, digits, \".\", \"-\" and \"_\""),
        (["--pull", "sometimes", "image"], "--pull \"sometimes\": it must be missing, always or never"),
        (["--log-level", "loud", "image"], "--log-level \"loud\": it must be error, warn, info or debug"),
        (["--stop-signal", "SIGFOO", "image"], "--stop-signal \"SIGFOO\": it is no signal: give a name such as SIGQUIT or a number"),
        (
            ["--ulimit", "files=1", "image"],
            "--ulimit \"files=1\": unknown limit \"files\": use one of cpu, fsize, data, stack, core, rss, nproc, nofile, memlock, as, locks, sigpending, msgqueue, nice, rtprio, rttime"
        ),
        (["--ulimit", "nofile=9:1", "image"], "--ulimit \"nofile=9:1\": the soft limit of \"nofile=9:1\" exceeds the hard one"),
        (["--ulimit", "nofile=", "image"], "--ulimit \"nofile=\": \"nofile=\" is not NAME=SOFT[:HARD] with numbers, or -1 for unlimited"),
        (["--tmpfs", "run", "image"], "--tmpfs \"run\": it must be an absolute path below /"),
        (
            ["--tmpfs", "/run:bind", "image"],
            "--tmpfs \"/run:bind\": tmpfs has no option \"bind\": use flags such as exec or ro, or size=, mode=, uid=, gid=, nr_inodes="
        ),
        (["-v", "/data", "image"], "-v \"/data\": volumes without a directory of the host do not exist here: write HOST:CONTAINER"),
        (["-v", "/a:/b:ro:x", "image"], "-v \"/a:/b:ro:x\": write HOST:CONTAINER[:ro]"),
        (["-v", "a:/b", "image"], "-v \"a:/b\": named volumes do not exist here: give a directory of the host, beginning with / or ./"),
        (["-v", "/a:b", "image"], "-v \"/a:b\": the container's path must be an absolute one below /"),
        (["-v", "/a:/", "image"], "-v \"/a:/\": the container's path must be an absolute one below /"),
        (["-v", "/a:/b:rx", "image"], "-v \"/a:/b:rx\": there is no option \"rx\": use ro or rw"),
        (
            ["-v", "/a:/b:rshared", "image"],
            "-v \"/a:/b:rshared\": what is mounted later does not pass between a host and a virtual machine: leave out \"rshared\""
        ),
        (["--mount", "type=bind,target=/b", "image"], "--mount \"type=bind,target=/b\": a bind needs source=, a path of the host"),
        (["--mount", "src=/a,dst=/b", "image"], "--mount \"src=/a,dst=/b\": named volumes do not exist here: give type=bind or type=tmpfs"),
        (["--mount", "type=nfs,dst=/b", "image"], "--mount \"type=nfs,dst=/b\": there is no type \"nfs\": use bind or tmpfs"),
        (["--mount", "type=tmpfs,dst=/b,src=/a", "image"], "--mount \"type=tmpfs,dst=/b,src=/a\": a mount of type tmpfs has no field \"source\""),
        (
            ["--mount", "type=bind,src=/a,dst=/b,ro=maybe", "image"],
            "--mount \"type=bind,src=/a,dst=/b,ro=maybe\": readonly must be true or false, not \"maybe\""
        ),
    ])
    func mistakesAreExplained(words: [String], expected: String) {
        #expect(sentence(words) == expected)
    }
}

@Suite struct OptionValueTests {
    @Test func whatTheHostShowsIsUnderstood() throws {
        let words = [
            "-v", "/a:/b", "--volume", "./c:/d/e:ro,z", "--mount", "type=bind,src=/f,dst=/g", "--mount",
            "type=bind,source=/h,destination=/i,readonly,bind-propagation=rprivate", "--mount", "type=tmpfs,target=/j,tmpfs-size=1m,tmpfs-mode=1777",
            "--mount", "type=bind,source=/k,target=/l,readonly=false", "image",
        ]
        let options = try #require(try parse(words))
        #expect(
            options.bindMounts == [
                BindMount(source: "/a", destination: "/b", isReadOnly: false, makesSource: true),
                BindMount(source: "./c", destination: "/d/e", isReadOnly: true, makesSource: true),
                BindMount(source: "/f", destination: "/g", isReadOnly: false, makesSource: false),
                BindMount(source: "/h", destination: "/i", isReadOnly: true, makesSource: false),
                BindMount(source: "/k", destination: "/l", isReadOnly: false, makesSource: false),
            ])
        #expect(options.temporaryMounts.map(\.destination) == ["/j"])
        #expect(options.temporaryMounts.map(\.flags) == [[.noExecution, .noSetID, .noDevices]])
        #expect(options.temporaryMounts.map(\.data) == ["size=1m,mode=1777"])
    }

    @Test func everyOptionIsUnderstood() throws {
        let words = [
            "-it", "-e", "A=1", "--env", "B", "--env-file", "f", "-w", "/w", "-u", "1:2", "-h", "host", "--entrypoint", "e", "--read-only", "--tmpfs",
            "/run:size=1m,exec", "--cpus", "1.5", "-m", "1g", "--storage-size", "2g", "--pull", "never", "--name", "me", "--rm", "--kernel", "k",
            "--initrd", "i",
            "--timeline=t", "--log-level", "debug", "--ulimit", "nofile=1:2", "--stop-signal", "SIGQUIT", "image", "c",
        ]
        let options = try #require(try parse(words))
        #expect(options.environment == ["A=1", "B"])
        #expect(options.environmentFiles == ["f"])
        #expect(options.workingDirectory == "/w")
        #expect(options.user == "1:2")
        #expect(options.hostname == "host")
        #expect(options.entrypoint == "e")
        #expect(options.readOnlyRoot)
        #expect(options.temporaryMounts.map(\.flags) == [[.noSetID, .noDevices]])
        #expect(options.temporaryMounts.map(\.data) == ["size=1m"])
        #expect(options.cpus == 2)
        #expect(options.processorTime == 150_000)
        #expect(options.memory == 1 << 30)
        #expect(options.storageSize == 2 << 30)
        #expect(options.pull == .never)
        #expect(options.name == "me")
        #expect(options.kernel == "k")
        #expect(options.initrd == "i")
        #expect(options.timeline == .file("t"))
        #expect(options.logLevel == .debug)
        #expect(options.limits == [ResourceLimit(resource: 7, soft: 1, hard: 2)])
        #expect(options.stopSignal == 3)
        #expect(options.command == ["c"])
    }

    @Test func theTimelinesFileNeedsAnEqualsSign() throws {
        let options = try #require(try parse(["--timeline", "image"]))
        #expect(options.timeline == .summary)
        #expect(options.image == "image")
    }

    @Test func memoryIsRoundedUpToTwoMebibytes() throws {
        #expect(try parse(["-m", "33m", "image"])?.memory == 34 << 20)
    }

    @Test func textNeedNotBeUTF8() throws {
        let raw = try #require(Text(bytes: [0x2D, 0x65, 0x41, 0x3D, 0xFF]))
        let request = try RunOptions.parse([raw, "image", raw])
        guard case .run(let options) = request else { throw ContainerError.noCommand }
        #expect(options.environment.map(\.bytes) == [[0x41, 0x3D, 0xFF]])
        #expect(options.command == [raw])
    }

    @Test(
        arguments: [
            ("0", 0), ("512", 512), ("1b", 1), ("1k", 1024), ("1K", 1024), ("1kb", 1024), ("1KiB", 1024), ("1.5g", 3 << 29), (".5m", 1 << 19),
            ("2t", 2 << 40),
            ("8388607t", 8_388_607 << 40), ("0.000000001t", 1099),
        ] as [(String, UInt64)])
    func sizes(text: String, expected: UInt64) {
        #expect(Quantities.size(text) == expected)
    }

    @Test(arguments: [
        "", "m", "-1", "1x", "1mm", "1 m", "1.m.", ".", "1.5", "1.5b", "99999999999999999999", "8388608t", "0x10", "1e3", "1.0000000001g", "١",
    ])
    func noSizes(text: String) {
        #expect(Quantities.size(text) == nil)
    }

    @Test(arguments: [("1", 1), ("0.01", 1), ("1.0", 1), ("1.5", 2), ("64", 64)] as [(String, UInt64)])
    func fractionsOfCPUsAreRoundedUp(text: String, expected: UInt64) {
        #expect(Quantities.cpus(text) == expected)
    }

    @Test(arguments: ["", "0", "0.0", "x", "1x", "-1", "99999999999999999999"])
    func noCPUs(text: String) {
        #expect(Quantities.cpus(text) == nil)
    }

    @Test(
        arguments: [("SIGTERM", 15), ("term", 15), ("9", 9), ("SIGRTMIN+3", 37), ("RTMAX-1", 63), ("SIGUSR1", 10), ("SIGSYS", 31)]
            as [(String, UInt8)])
    func signals(text: String, expected: UInt8) {
        #expect(Quantities.signal(text) == expected)
    }

    @Test(arguments: ["", "0", "65", "SIG", "SIGSIGTERM", "RTMIN+31", "SIGRTMIN+"])
    func noSignals(text: String) {
        #expect(Quantities.signal(text) == nil)
    }

    @Test(arguments: [
        ("nofile=1024", ResourceLimit(resource: 7, soft: 1024, hard: 1024)), ("core=-1", ResourceLimit(resource: 4, soft: .max, hard: .max)),
        ("stack=0:-1", ResourceLimit(resource: 3, soft: 0, hard: .max)),
    ])
    func limits(text: String, expected: ResourceLimit) throws {
        #expect(try Quantities.limit(text).get() == expected)
    }

    @Test func aLaterLimitReplacesAnEarlierOne() throws {
        #expect(try parse(["--ulimit", "core=1", "--ulimit", "core=2", "image"])?.limits == [ResourceLimit(resource: 4, soft: 2, hard: 2)])
    }
}

@Suite struct EnvironmentFileTests {
    private func parse(_ text: String) throws -> [String] {
        try EnvironmentFile.parse(Array(text.utf8), path: "f") { $0 == "HOME" ? "/h" : nil }.map(\.string)
    }

    @Test func linesAreTakenLiterally() throws {
        let text = "\u{FEFF}# comment\n\nA=1\n  B = 2 \r\nC='x y'\nD=a=b\nE=\n\t#also one\nHOME\nUNSET\nLAST=x"
        #expect(throws: ContainerError.environmentFile(path: "f", line: 4, problem: "the variable \"B \" contains white space: write NAME=VALUE")) {
            try parse(text)
        }
        #expect(try parse(text.replacing("B = 2", with: "B= 2")) == ["A=1", "B= 2 ", "C='x y'", "D=a=b", "E=", "HOME=/h", "LAST=x"])
    }

    @Test func aNameIsNeeded() {
        #expect(throws: ContainerError.self) { try parse("=x") }
    }

    @Test func aNULIsRefused() {
        #expect(throws: ContainerError.self) { try parse("A=\0") }
    }

    @Test func placementsHoldWhatWasAskedFor() throws {
        guard case .run(let options) = try RunOptions.parse(["--cgroups=enabled", "--cpus=0.5", "--cpu-shares=512", "--memory=64m", "image"]) else {
            return
        }
        let limits = try #require(try options.placement()).limits
        #expect(limits.memory == (64 << 20) + (1 << 20) + (64 << 20))
        #expect(limits.processorTime == 50_000)
        #expect(limits.processorShares == 512)
        guard case .run(let without) = try RunOptions.parse(["--cgroups=disabled", "--cpu-shares=512", "image"]) else { return }
        #expect(throws: ContainerError.self) { try without.placement() }
    }
}

@Suite struct DiskRateTests {
    @Test func ratesOfDisks() throws {
        let words = [
            "--storage-size=64m", "--device-read-bps", "/:1.5mb", "--device-write-bps=/:10k", "--device-read-iops", "/:100",
            "--device-write-iops=/:7",
        ]
        let rates = try #require(try parse(words + ["image"])).diskRates
        #expect(rates.readBytes == 3 << 19)
        #expect(rates.writeBytes == 10240)
        #expect(rates.readOperations == 100)
        #expect(rates.writeOperations == 7)
        // As with Docker: no limit.
        #expect(try #require(try parse(["--device-read-bps", "/:0", "--device-write-iops", "/:0", "image"])).diskRates == DiskRates())
    }

    @Test(
        arguments: [
            ("--device-read-bps=10m", "write /:SIZE, such as /:10m"), ("--device-read-bps=/dev/sda:10m", "a container has no devices of the host"),
            ("--device-read-bps=/:", "is no rate"), ("--device-read-bps=/:fast", "is no rate"), ("--device-read-bps=/:-1", "is no rate"),
            ("--device-read-iops=/:10m", "is no rate"), ("--device-read-iops=/:99999999999999999999", "is no rate"),
            ("--device-read-iops=:5", "write /:NUMBER"),
            ("--device-write-bps=/:10m", "give --storage-size SIZE"), ("--device-write-iops=/:10", "give --storage-size SIZE"),
        ])
    func mistakesInRates(word: String, phrase: String) {
        #expect(sentence([word, "image"]).contains(phrase), "\(sentence([word, "image"]))")
    }
}
