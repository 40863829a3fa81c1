// Where a container's VMM is kept and what it may use there: cgroups of the engine's, and of systemd's.
import Jail
import OCI
import Testing
import Wire

@testable import ContainerRuntime

@Suite struct CgroupPlanTests {
    private func resources(_ text: String) throws -> RuntimeResources { try RuntimeResources(json: Array(text.utf8), name: "resources") }

    @Test(arguments: [
        (":docker:abc", "system.slice", "docker-abc.scope"), ("user.slice:libpod:x_1", "user.slice", "libpod-x_1.scope"),
        ("a-b.slice::c", "a-b.slice", "c.scope"),
    ])
    func scopesAreNamedAsByRunc(path: String, slice: String, unit: String) throws {
        let scope = try #require(SystemdScope(cgroupsPath: path))
        #expect(scope.slice == slice && scope.unit == unit)
    }

    @Test(arguments: [
        "", "/docker/abc", "a:b", "a:b:c", "a.slice:b:", "a.slice:b:c d", "a.slice:b:c/d", "--x:b:c", ":b:" + String(repeating: "x", count: 300),
    ])
    func otherPathsAreNone(path: String) { #expect(SystemdScope(cgroupsPath: path) == nil) }

    @Test func limitsAreThoseOfTheConfiguration() throws {
        var limits = CgroupLimits()
        try resources(
            """
            {"cpu": {"quota": 50000, "period": 25000, "shares": 512, "cpus": "1,3-4", "mems": "0"}, "memory": {"reservation": 7, "limit": 9}, "blockIO": {"weight": 20,
             "throttleWriteBpsDevice": [{"major": 8, "minor": 1, "rate": 7}]}, "unified": {"memory.high": "5"}, "hugepageLimits": [{"pageSize": "2MB", "limit": 3}]}
            """
        ).apply(to: &limits)
        // Memory depends on the machine.
        #expect(limits.memory == nil && limits.threads == nil && limits.memoryReservation == 7)
        #expect(
            limits.processorTime == 50_000 && limits.processorPeriod == 25_000 && limits.processorShares == 512 && limits.processors == "1,3-4"
                && limits.memoryNodes == "0")
        #expect(limits.deviceRates == [.init(major: 8, minor: 1, kind: .writeBytes, rate: 7)] && limits.diskWeight == 20)
        #expect(limits.unified == ["memory.high": "5"] && limits.hugePages == ["2MB": 3])
    }

    @Test func nothingIsNoLimit() throws {
        var limits = CgroupLimits()
        try resources(#"{"cpu": {"period": 50000}}"#).apply(to: &limits)
        #expect(limits.processorTime == .max && limits.processorPeriod == 50_000)
        limits = CgroupLimits()
        try resources(#"{"cpu": {"quota": 0, "shares": 0, "cpus": ""}, "memory": {"limit": -1, "reservation": 0}, "pids": {"limit": -1}}"#).apply(
            to: &limits)
        #expect(limits == CgroupLimits())
    }

    @Test func systemdIsToldInItsWords() throws {
        var limits = CgroupLimits()
        limits.memory = 1 << 30
        limits.threads = 17
        limits.processorTime = 50_000
        limits.processors = "0,2-3,9"
        #expect(
            limits.systemdProperties == [
                ["MemoryMax", "t", "1073741824"], ["MemorySwapMax", "t", "1073741824"], ["CPUQuotaPerSecUSec", "t", "500000"],
                ["CPUQuotaPeriodUSec", "t", "100000"],
                ["TasksMax", "t", "17"],
                ["AllowedCPUs", "ay", "2", "13", "2"],
            ])
        limits = CgroupLimits()
        limits.processors = "1-x"
        #expect(limits.systemdProperties == [])
    }

    @Test func theOptionsOfUpdateAreRuncs() throws {
        let (options, operands) = try RuntimeOption.parser(.update).parse([
            "--memory", "64m", "--cpu-quota", "-1", "--cpu-share", "7", "--pids-limit=5", "--cpuset-cpus", "0", "one",
        ])
        #expect(operands == ["one"] && options.map(\.key) == [.memory, .processorQuota, .processorShare, .processLimit, .processors])
    }

    @Test func theTemplateIsAConfiguration() throws {
        let text = try BundleTemplate.value.text(limit: 65536)
        let specification = try RuntimeSpecification(json: text, name: "config.json")
        #expect(specification.refusals.isEmpty && specification.process?.arguments == ["sh"])
        _ = try BundlePlan(specification, for: "one", in: "/bundle")
    }
}
