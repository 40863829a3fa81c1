import Glibc
import AgentProtocol
import Confinement
import LaunchConfiguration
import LinuxSystem
import OCI
import Testing
import Wire

@testable import ContainerRuntime

@Suite struct BundlePlanTests {
    private func plan(_ members: String = "", linux: String = "") throws -> BundlePlan {
        let text = """
            {"ociVersion": "1.2.0", "root": {"path": "rootfs", "readonly": true}, "process": {"args": ["sh"], "cwd": "/", "env": ["A=b"],
             "user": {"uid": 5, "gid": 6, "additionalGids": [6, 7, 7]}}, "linux": {"namespaces": []\(linux)}\(members)}
            """
        return try BundlePlan(RuntimeSpecification(json: Array(text.utf8), name: "config.json"), for: "abc", in: "/bundle")
    }

    private func messages(_ plan: BundlePlan) throws -> (ContainerSpec, ProcessSpec, LaunchConfiguration) {
        let files = LaunchFiles(
            kernel: Extent(descriptor: 40, offset: 0, length: 400), initrd: Extent(descriptor: 41, offset: 0, length: 410), fileServer: 42)
        let configuration = try plan.configuration(
            files, LifecycleDescriptors(control: 43, status: 44, owner: 0), seccomp: nil, state: .null, inputIsEmpty: true, launched: 7)
        guard case .container(let supervisor) = configuration.task else { throw ContainerError.noCommand }
        var reader = FrameReader()
        reader.append(supervisor.frames)
        guard let first = try reader.next(), let second = try reader.next(), case .createContainer(let container) = try HostMessage(first),
            case .startProcess(let process) = try HostMessage(second)
        else { throw ContainerError.noCommand }
        return (container, process, configuration)
    }

    @Test func theRootIsTheFirstTree() throws {
        let plan = try plan()
        #expect(plan.trees.map(\.source) == ["/bundle/rootfs"])
        let (container, process, configuration) = try messages(plan)
        #expect(container.root == .tree(0) && container.hasTrees && container.readOnlyRoot && container.hostname == "abc")
        #expect(process.waits && process.user == "5:6" && process.additionalGroups == [7] && process.limits.isEmpty && process.capabilities == 0)
        #expect(configuration.machine.files == 42 && configuration.machine.disks.isEmpty)
        guard case .container(let supervisor) = configuration.task else { throw ContainerError.noCommand }
        #expect(supervisor.lifecycle == LifecycleDescriptors(control: 43, status: 44, owner: 0) && supervisor.inputPort == 0)
    }

    @Test func mountsKeepTheirOrder() throws {
        let plan = try plan(
            #", "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}, {"destination": "/a", "type": "bind", "source": "/x", "options": ["rbind", "ro", "rprivate"]},"#
                + #"{"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]}, {"destination": "/b", "source": "y", "options": ["bind"]}]"#
        )
        #expect(plan.trees.map(\.source) == ["/bundle/rootfs", "/x", "/bundle/y"] && plan.trees.map(\.isReadOnly) == [false, true, false])
        let (container, _, _) = try messages(plan)
        #expect(container.mounts.map(\.destination) == ["/proc", "/a", "/sys/fs/cgroup", "/b"])
        #expect(container.mounts.map(\.source) == [.name("proc"), .directory(1), .name("cgroup"), .directory(2)])
        #expect(container.mounts.map(\.type) == ["proc", "bind", "cgroup2", "bind"])
        #expect(container.mounts[1].flags == .readOnly && container.mounts[2].flags == .readOnly && container.makesDevices)
        #expect(try !messages(try self.plan(#", "mounts": [{"destination": "/dev", "type": "bind", "source": "/dev"}]"#)).0.makesDevices)
    }

    @Test func mountsPropagateInTheMachine() throws {
        let plan = try plan(
            #", "mounts": [{"destination": "/a", "type": "bind", "source": "/x", "options": ["rbind", "rprivate", "size=1k"]},"#
                + #"{"destination": "/b", "type": "tmpfs", "options": ["shared", "size=1k"]}]"#, linux: #", "rootfsPropagation": "rslave""#)
        let (container, _, _) = try messages(plan)
        #expect(container.mounts[0].propagations.isEmpty && container.mounts[1].propagations == [.shared])
        #expect(container.mounts[1].data == "size=1k" && container.rootPropagation == [.slave, .recursive])
    }

    @Test func theLastOfEqualNamesCounts() throws {
        let text =
            #"{"ociVersion": "1.2.0", "root": {"path": "r"}, "process": {"args": ["sh"], "cwd": "/", "env": ["A=1", "B=2", "A=3", "C"], "capabilities": {"bounding": ["CAP_KILL"], "#
            + #""permitted": ["CAP_KILL", "CAP_NEW_ONE"], "inheritable": ["CAP_CHOWN"]}}}"#
        let (_, process, _) = try messages(BundlePlan(RuntimeSpecification(json: Array(text.utf8), name: "x"), for: "a", in: "/b"))
        #expect(process.environment == ["B=2", "A=3", "C"] && process.capabilities == 0x20)
        #expect(process.capabilitySets == CapabilitySets(effective: 0, permitted: 0x20, inheritable: 1))
    }

    @Test func devicesGoWithTheirDirectory() throws {
        let device = #", "devices": [{"path": "/dev/x", "type": "u", "major": 10, "minor": 229, "fileMode": 384}]"#
        let (container, _, _) = try messages(try plan(#", "domainname": "d""#, linux: device))
        #expect(container.devices == [DeviceNode(path: "/dev/x", mode: 0o020600, major: 10, minor: 229, user: 0, group: 0)])
        #expect(container.domainName == "d")
        let (host, _, _) = try messages(try plan(#", "mounts": [{"destination": "/dev", "type": "bind", "source": "/dev"}]"#, linux: device))
        #expect(host.devices.isEmpty)
    }

    @Test func theNetworkIsTheOneThatIsNamed() throws {
        let named =
            #"{"ociVersion": "1.2.0", "root": {"path": "r"}, "process": {"args": ["sh"], "cwd": "/"}, "linux": {"namespaces": [{"type": "network", "path": "/n"}]}}"#
        #expect(try BundlePlan(RuntimeSpecification(json: Array(named.utf8), name: "x"), for: "a", in: "/b").network == "/n")
        #expect(try plan().network == nil)
    }

    @Test(arguments: ["io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType"])
    func podsAreMachinesBesideEachOther(annotation: String) throws {
        func plan(_ role: String, _ namespace: String) throws -> BundlePlan {
            let text = """
                {"ociVersion": "1.2.0", "root": {"path": "r"}, "process": {"args": ["sh"], "cwd": "/"}, "annotations": {"\(annotation)": "\(role)"},
                 "linux": {"namespaces": [{"type": "\(namespace)", "path": "/proc/7/ns/\(namespace)"}]}}
                """
            return try BundlePlan(RuntimeSpecification(json: Array(text.utf8), name: "x"), for: "a", in: "/b")
        }
        var inPod = try plan("container", "uts")
        #expect(inPod.hostNamesNamespace == "/proc/7/ns/uts")
        #expect(try messages(inPod).0.hostname == "a")
        inPod.podHostName = "pod"
        #expect(try messages(inPod).0.hostname == "pod")
        #expect(try plan("container", "ipc").hostNamesNamespace == nil)
        for (role, namespace) in [("sandbox", "uts"), ("", "ipc"), ("container", "pid"), ("container", "mount"), ("container", "cgroup")] {
            #expect(throws: ContainerError.self, "\(role) \(namespace)") { try plan(role, namespace) }
        }
    }

    @Test func hooksInTheContainerAreTold() throws {
        let (_, process, _) = try messages(try plan(#", "hooks": {"startContainer": [{"path": "/h", "args": ["h", "x"], "timeout": 5}]}"#))
        #expect(process.hooks == [HookSpec(path: "/h", arguments: ["h", "x"], environment: ["A=b"], timeout: 5)])
        #expect(process.state == Array("null\n".utf8))
    }

    @Test(arguments: [
        ("", 512 << 20), (#", "resources": {"memory": {"limit": 104857600}}"#, 100 << 20), (#", "resources": {"memory": {"limit": 1}}"#, 32 << 20),
        (#", "resources": {"memory": {"limit": 104857601}}"#, 102 << 20), (#", "resources": {"memory": {"limit": -1}}"#, 512 << 20),
    ])
    func memoryIsTheLimit(linux: String, bytes: UInt64) throws {
        #expect(try plan(linux: linux).memory == bytes)
    }

    @Test(arguments: [
        ("", 1), (#", "resources": {"cpu": {"quota": 50000, "period": 100000}}"#, 1), (#", "resources": {"cpu": {"quota": 250000}}"#, 3),
        (#", "resources": {"cpu": {"quota": -1}}"#, 1), (#", "resources": {"cpu": {"quota": 9999999, "period": 1000}}"#, 64),
    ])
    func processorsAreWhatTheQuotaKeepsBusy(linux: String, count: UInt8) throws {
        #expect(try plan(linux: linux).cpus == count)
    }

    static func users(_ mappings: String) -> String {
        #", "namespaces": [{"type": "user"}], "gidMappings": [{"containerID": 0, "hostID": 200, "size": 100}], "uidMappings": ["# + mappings + "]"
    }

    @Test func usersOfANamespaceAreOutsideOfIt() throws {
        let linux = Self.users(#"{"containerID": 0, "hostID": 100, "size": 3}, {"containerID": 3, "hostID": 7, "size": 10}"#)
        let mounts = #", "mounts": [{"destination": "/x", "type": "tmpfs", "options": ["uid=4", "gid=5", "size=1k", "uid=x"]}]"#
        let (container, process, _) = try messages(
            try plan(mounts, linux: linux + #", "devices": [{"path": "/dev/x", "type": "c", "uid": 2, "gid": 1}]"#))
        let map = try #require(container.identities)
        #expect([0, 2, 3, 12, 13].map { map.user(outside: $0) } == [100, 102, 7, 16, nil] && map.group(outside: 99) == 299)
        #expect(container.mounts[0].data == "uid=8,gid=205,size=1k,uid=x" && container.devices[0].user == 102 && container.devices[0].group == 201)
        #expect(container.mounts[0].identities == nil)
        // The process's own are the namespace's.
        #expect(process.user == "5:6")
        #expect(try messages(try plan()).0.identities == nil)
    }

    @Test func mountsHaveUsersOfTheirOwn() throws {
        func map(_ outside: Int) -> String { #"[{"containerID": 0, "hostID": \#(outside), "size": 1}]"# }
        let mappings = #""uidMappings": \#(map(5)), "gidMappings": \#(map(6))"#
        let mounts = #", "mounts": [{"destination": "/x", "type": "bind", "source": "/y", "options": ["rbind"], \#(mappings)}]"#
        let (container, _, _) = try messages(try plan(mounts))
        #expect(container.mounts[0].identities?.user(outside: 0) == 5 && container.mounts[0].identities?.group(outside: 0) == 6)
        let likeTheContainer = #", "mounts": [{"destination": "/x", "type": "bind", "source": "/y", "options": ["rbind", "idmap"]}]"#
        let (other, _, _) = try messages(try plan(likeTheContainer, linux: Self.users(#"{"containerID": 0, "hostID": 100, "size": 30}"#)))
        #expect(other.mounts[0].identities == other.identities && other.identities != nil)
    }

    @Test func parametersAreFiles() throws {
        let (container, _, _) = try messages(try plan(linux: #", "sysctl": {"net.ipv4.conf.eth0/1.forwarding": "1", "kernel.msgmax": "5"}"#))
        #expect(container.parameters.map(\.path) == ["/proc/sys/kernel/msgmax", "/proc/sys/net/ipv4/conf/eth0.1/forwarding"])
    }

    @Test(arguments: [
        ("", #", "namespaces": [{"type": "ipc", "path": "/proc/1/ns/ipc"}]"#, "linux.namespaces[0].path"),
        ("", #", "namespaces": [{"type": "user", "path": "/proc/1/ns/user"}]"#, "linux.namespaces[0].path"),
        ("", #", "namespaces": [{"type": "user"}]"#, "linux.uidMappings is missing"),
        ("", #", "uidMappings": [{"containerID": 0, "hostID": 9, "size": 9}]"#, "linux.uidMappings is there, but"),
        ("", users(#"{"containerID": 0, "hostID": 9, "size": 5}"#), "linux.uidMappings says nothing of user 5"),
        ("", users(#"{"containerID": 1, "hostID": 9, "size": 50}"#), "linux.uidMappings says nothing of user 0"),
        ("", users(#"{"containerID": 0, "hostID": 9, "size": 0}"#), "linux.uidMappings[0].size 0 leads"),
        ("", users(#"{"containerID": 0, "hostID": 9, "size": 4294967290}"#), "linux.uidMappings[0].size 4294967290 leads"),
        (
            "", users(Array(repeating: #"{"containerID": 0, "hostID": 9, "size": 9}"#, count: 341).joined(separator: ",")),
            "linux.uidMappings has more"
        ),
        ("", #", "intelRdt": {"closID": "x"}"#, "linux.intelRdt"),
        (#", "mounts": [{"destination": "x", "type": "tmpfs"}]"#, "", "mounts[0].destination"),
        (#", "mounts": [{"destination": "/x", "type": "nfs"}]"#, "", "mounts[0].type"),
        (#", "mounts": [{"destination": "/x", "type": "bind", "source": "/y", "options": ["idmap"]}]"#, "", "mounts[0].options"),
        (#", "mounts": [{"destination": "/x", "type": "bind", "source": "/y", "options": ["ridmap"]}]"#, "", "mounts[0].options"),
        (#", "mounts": [{"destination": "/x", "type": "bind", "source": "/y", "options": ["idmap=uids=0-1-2"]}]"#, "", "mounts[0].options"),
        (
            #", "mounts": [{"destination": "/x", "type": "bind", "source": "/y", "uidMappings": [{"containerID": 0, "hostID": 5, "size": 1}]}]"#, "",
            "mounts[0] has one of"
        ),
        (#", "hostname": "a\u0000b""#, "", "hostname"),
    ])
    func whatCannotBeIsNamed(members: String, linux: String, field: String) {
        do {
            _ = try plan(members, linux: linux)
            Issue.record("it was taken")
        } catch { #expect("\(error)".hasPrefix("config.json: \(field)"), "\(error)") }
    }

    @Test func aRecordSurvivesItsFile() throws {
        let text =
            #"{"ociVersion": "1.0.0", "root": {"path": "r"}, "process": {"args": ["x"], "cwd": "/"}, "annotations": {"a": "b"}, "hooks": {"poststop": [{"path": "/p", "timeout": 3}]}}"#
        let record = ContainerRecord(
            identifier: "one", process: 7, started: 99, bundle: "/b", rootDirectory: "/b/r",
            specification: try RuntimeSpecification(json: Array(text.utf8), name: "x"), cgroup: "/c/one", created: 1_800_000_000)
        #expect(try ContainerRecord(json: try record.json.text(limit: 65536), name: "x") == record)
        #expect(throws: OCIError.self) { try ContainerRecord(json: Array("{}".utf8), name: "x") }
        let state = record.state(.running, isWhole: true)
        #expect(try String(decoding: state.text(limit: 65536), as: UTF8.self).contains(#""pid":7,"status":"running""#))
    }

    @Test func beginningsAreTheKernels() {
        #expect(ContainerRecord.beginning(of: getpid()) != nil && ContainerRecord.beginning(of: 0) == nil)
    }
}
