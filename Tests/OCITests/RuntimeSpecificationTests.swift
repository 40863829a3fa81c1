// config.json: what is read of it, and what is refused by its name.
import OCI
import Testing

@Suite struct RuntimeSpecificationTests {
    private func parse(_ text: String) throws -> RuntimeSpecification { try RuntimeSpecification(json: Array(text.utf8), name: "config.json") }

    /// The smallest one, with more members in it.
    private func configuration(_ members: String = "", process: String = "", linux: String = "") -> String {
        """
        {"ociVersion": "1.0.2-dev", "root": {"path": "rootfs"}, "process": {"args": ["sh"], "cwd": "/"\(process)},
         "linux": {"namespaces": []\(linux)}\(members)}
        """
    }

    @Test func theSmallestHasDefaults() throws {
        let found = try parse(configuration())
        #expect(found.root.path == "rootfs" && !found.root.isReadOnly && found.hostname == "" && found.mounts.isEmpty && found.refusals.isEmpty)
        let process = try #require(found.process)
        #expect(process.arguments == ["sh"] && process.user == .init() && process.bounding == nil && !process.terminal && process.limits.isEmpty)
    }

    @Test func whatEnginesWriteIsRead() throws {
        let found = try parse(
            configuration(
                #", "hostname": "box", "annotations": {"a": "b"}, "mounts": [{"destination": "/x", "type": "bind", "source": "/y", "options": ["rbind"]}]"#
                    + #", "hooks": {"prestart": [{"path": "/bin/h", "args": ["h", "x"], "env": ["A=b"], "timeout": 5}]}"#,
                process:
                    #", "terminal": true, "consoleSize": {"height": 24, "width": 80}, "user": {"uid": 1, "gid": 2, "additionalGids": [3], "umask": 18}"#
                    + #", "capabilities": {"bounding": ["CAP_KILL"], "ambient": []}, "rlimits": [{"type": "RLIMIT_CORE", "soft": 1, "hard": 18446744073709551615}]"#
                    + #", "noNewPrivileges": true, "oomScoreAdj": 7, "apparmorProfile": """#,
                linux: #", "cgroupsPath": "/docker/x", "sysctl": {"net.core.somaxconn": "7"}, "maskedPaths": ["/a"], "readonlyPaths": ["/b"]"#
                    + #", "resources": {"memory": {"limit": 5, "swap": -1}, "cpu": {"quota": 7, "period": 8, "shares": 9, "cpus": ""}, "pids": {"limit": -1}"#
                    + #", "devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 1, "minor": 3}], "blockIO": {"weight": 100}}"#
            ))
        #expect(found.hostname == "box" && found.annotations == ["a": "b"] && found.mounts.first?.options == ["rbind"])
        #expect(found.hooks.prestart.first?.arguments == ["h", "x"] && found.hooks.prestart.first?.timeout == 5)
        let process = try #require(found.process)
        #expect(
            process.consoleSize?.rows == 24 && process.consoleSize?.columns == 80 && process.user.umask == 18 && process.user.additionalGroups == [3])
        #expect(process.bounding == ["CAP_KILL"] && process.limits.first?.hard == .max && process.noNewPrivileges)
        #expect(found.resources.memory == 5 && found.resources.quota == 7 && found.resources.processes == -1 && found.resources.diskWeight == 100)
        #expect(found.resources.devices.map(\.allow) == [false, true] && found.parameters == ["net.core.somaxconn": "7"])
        #expect(found.refusals.isEmpty, "\(found.refusals)")
    }

    @Test func whatIsTheMachinesIsRead() throws {
        let found = try parse(
            configuration(
                #", "domainname": "example.org", "hooks": {"startContainer": [{"path": "/x", "args": ["x", "y"]}]}"#,
                process: #", "oomScoreAdj": -7, "apparmorProfile": "docker-default", "selinuxLabel": "a:b:c""#,
                linux: #", "mountLabel": "a:b:c", "devices": [{"path": "/dev/x", "type": "b", "major": 7, "minor": 1, "fileMode": 416, "uid": 5},"#
                    + #"{"path": "/dev/p", "type": "p"}]"#))
        #expect(found.refusals.isEmpty, "\(found.refusals)")
        #expect(found.domainName == "example.org" && found.process?.outOfMemoryAdjustment == -7)
        #expect(found.hooks.startContainer.map(\.arguments) == [["x", "y"]])
        #expect(found.devices.map(\.path) == ["/dev/x", "/dev/p"] && found.devices.map(\.type) == ["b", "p"])
        #expect(found.devices.map(\.mode) == [0o640, 0o666] && found.devices.map(\.major) == [7, 0] && found.devices.map(\.user) == [5, 0])
    }

    @Test func usersOfANamespaceAreRead() throws {
        let found = try parse(
            configuration("", process: "", linux: #", "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 5}], "gidMappings": []"#))
        #expect(found.userMappings.map(\.host) == [1000] && found.userMappings.map(\.size) == [5] && found.groupMappings.isEmpty)
    }

    @Test func whatTheHostLimitsIsRead() throws {
        let text = """
            {"memory": {"reservation": 5}, "cpu": {"cpus": "0-1", "mems": "0"}, "unified": {"memory.high": "max"}, "hugepageLimits": [{"pageSize": "2MB", "limit": 9}],
             "blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 1, "rate": 7}], "throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 6}]}}
            """
        let found = try RuntimeResources(json: Array(text.utf8), name: "resources")
        #expect(found.memoryReservation == 5 && found.processors == "0-1" && found.memoryNodes == "0" && found.unified == ["memory.high": "max"])
        #expect(found.hugePages == ["2MB": 9] && found.refusals.isEmpty)
        #expect(found.throttles.map(\.kind) == [.readBytes, .writeOperations] && found.throttles.map(\.minor) == [1, 0])
        #expect(found.throttles.map(\.rate) == [7, 6])
    }

    @Test(arguments: [
        ("", #", "scheduler": {"policy": "SCHED_FIFO"}"#, "", "process.scheduler"),
        ("", "", #", "intelRdt": {"closID": "x"}"#, "linux.intelRdt"),
        ("", "", #", "resources": {"cpu": {"realtimeRuntime": 5}}"#, "linux.resources.cpu.realtimeRuntime"),
        ("", "", #", "resources": {"network": {"classID": 5}}"#, "linux.resources.network"),
        (#", "hooks": {"createContainer": [{"path": "/x"}]}"#, "", "", "hooks.createContainer"),
    ])
    func whatIsNotDoneIsNamed(members: String, process: String, linux: String, field: String) throws {
        #expect(try parse(configuration(members, process: process, linux: linux)).refusals.map(\.path) == [field])
    }

    @Test(arguments: [
        (#"{"ociVersion": "2.0.0", "root": {"path": "x"}}"#, "ociVersion \"2.0.0\" is not 1.x"),
        (#"{"root": {"path": "x"}}"#, "ociVersion is missing"),
        (#"{"ociVersion": "1.0.0"}"#, "root is missing"), (#"{"ociVersion": "1.0.0", "root": {}}"#, "root.path is missing"), ("[]", "wrong type"),
        (#"{"ociVersion": "1.0.0", "root": {"path": "x"}, "process": {"args": [], "cwd": "/"}}"#, "process.args must not be empty"),
        (#"{"ociVersion": "1.0.0", "root": {"path": "x"}, "process": {"args": ["x"], "cwd": "a"}}"#, "process.cwd must be an absolute path"),
        (
            #"{"ociVersion": "1.0.0", "root": {"path": "x"}, "process": {"args": ["x"], "cwd": "/", "user": {"uid": -1}}}"#,
            "process.user.uid is no number"
        ),
        (#"{"ociVersion": "1.0.0", "root": {"path": "x"}, "hooks": {"prestart": [{"path": "a"}]}}"#, "hooks.prestart[0].path must be absolute"),
        (
            #"{"ociVersion": "1.0.0", "root": {"path": "x"}, "process": {"args": ["x"], "cwd": "/", "oomScoreAdj": 2000}}"#,
            "process.oomScoreAdj 2000 is not from"
        ),
        (
            #"{"ociVersion": "1.0.0", "root": {"path": "x"}, "linux": {"uidMappings": [{"containerID": 0}]}}"#,
            "linux.uidMappings[0].hostID is missing"
        ),
        (#"{"ociVersion": "1.0.0", "root": {"path": "x"}, "linux": {"devices": [{"path": "x", "type": "c"}]}}"#, "linux.devices[0].path \"x\""),
        (#"{"ociVersion": "1.0.0", "root": {"path": "x"}, "linux": {"devices": [{"path": "/x", "type": "q"}]}}"#, "linux.devices[0].type \"q\""),
        (#"{"ociVersion": "1.0.0", "root": {"path": "x"}, "linux": {"resources": {"unified": {"../a.b": "1"}}}}"#, "resources.unified names"),
        (#"{"ociVersion": "1.0.0", "root": {"path": "x"}, "linux": {"resources": {"unified": {"cgroup.kill": "1"}}}}"#, "resources.unified names"),
        (#"{"ociVersion": "1.0.0", "root": {"path": "x"}, "linux": {"rootfsPropagation": "often"}}"#, "linux.rootfsPropagation \"often\""),
    ])
    func whatMakesNoSenseIsSaid(text: String, sentence: String) {
        do {
            _ = try parse(text)
            Issue.record("it was taken: \(text)")
        } catch { #expect("\(error)".contains(sentence), "\(error)") }
    }
}
