import Foundation
import Testing

@testable import ContainerRuntime

@Suite struct DiagnosisTests {
    private var good: MachineFacts {
        var facts = MachineFacts()
        facts.device = .usable
        facts.processorFlags = ["svm"]
        facts.availableMemory = 4 << 30
        facts.isolation.vulnerabilities = ["mds": "Not affected", "spectre_v2": "Mitigation: Retpolines"]
        facts.isolation.landlock = 2
        facts.isolation.hasCgroups = true
        facts.probe = MachineFacts.probe(
            "api_version=12\ncapability.irqfd=1\ncapability.ioeventfd=1\nvcpus_max=64\nprobe=ok\nprobe_ns=15000\nprobe_detail=\n")
        return facts
    }

    private func remedy(_ name: String, _ facts: MachineFacts) -> String {
        Diagnosis(facts).checks.first { $0.name == name }?.remedy ?? "no such check"
    }

    @Test func aGoodMachine() {
        let diagnosis = Diagnosis(good)
        #expect(diagnosis.isGood)
        #expect(
            diagnosis.text == """
                ✓ the processor has AMD-V
                ✓ /dev/kvm can be opened
                ✓ KVM's API has version 12
                ✓ KVM can do all that is needed
                ✓ a probe machine ran kernel-mode code in 15 µs
                ✓ Swiftlet's own files are there
                ✓ 4096 MiB of memory are available
                ✓ the processor's known weaknesses are mitigated
                ✓ guests don't share cores (SMT is off)
                ✓ the kernel doesn't merge pages of different guests (KSM is off)
                ✓ the jail has all its walls (Landlock 2, cgroups)
                This machine can run containers.

                """)
    }

    @Test func withoutTheDevice() {
        var facts = good
        facts.device = .missing
        #expect(!Diagnosis(facts).isGood)
        #expect(remedy("device", facts).contains("modprobe kvm_amd"))
        facts.processorFlags = ["hypervisor"]
        #expect(remedy("device", facts).contains("nested virtualisation"))
    }

    @Test func withoutPermission() {
        var facts = good
        facts.device = .denied(group: "kvm")
        #expect(!Diagnosis(facts).isGood)
        #expect(remedy("device", facts) == "join the group: 'sudo usermod -aG kvm $USER', then log in again")
    }

    @Test(arguments: ["slow", "failed", "unavailable", "nonsense"])
    func aBadProbe(result: String) {
        var facts = good
        facts.probe["probe"] = result
        facts.probe["probe_detail"] = "700 ns for an instruction"
        #expect(!Diagnosis(facts).isGood)
        #expect(Diagnosis(facts).text.contains("(700 ns for an instruction)"))
    }

    @Test func missingCapabilitiesAreNamed() {
        var facts = good
        facts.probe["capability.irqfd"] = "0"
        #expect(Diagnosis(facts).isGood)
        #expect(Diagnosis(facts).text.contains("! KVM lacks irqfd\n"))
        facts.probe["probe"] = "unavailable"
        #expect(Diagnosis(facts).text.contains("✗ KVM lacks irqfd\n"))
    }

    /// For the administrator to weigh: containers run all the same.
    @Test func weakIsolationIsAWarningWithAWayOut() {
        var facts = good
        facts.isolation.vulnerabilities["l1tf"] = "Mitigation: PTE Inversion; VMX: conditional cache flushes, SMT vulnerable"
        facts.isolation.vulnerabilities["mds"] = "Vulnerable: Clear CPU buffers attempted, no microcode"
        facts.isolation.sharesCores = true
        facts.isolation.mergesPages = true
        facts.isolation.landlock = 0
        facts.isolation.hasCgroups = false
        let diagnosis = Diagnosis(facts)
        #expect(diagnosis.isGood)
        #expect(diagnosis.text.contains("! not mitigated: mds: "))
        #expect(remedy("speculation", facts).contains("microcode"))
        #expect(diagnosis.text.contains("! guests share cores (SMT is on), which leaks by l1tf\n"))
        #expect(remedy("cores", facts).contains("nosmt"))
        #expect(remedy("pages", facts).contains("ksm"))
        #expect(diagnosis.text.contains("! the jail goes without Landlock and cgroups\n"))
        facts.isolation.vulnerabilities["l1tf"] = "Not affected"
        #expect(Diagnosis(facts).text.contains("✓ guests share cores (SMT is on); no leak"))
        facts.isolation.vulnerabilities = [:]
        #expect(Diagnosis(facts).text.contains("! the kernel doesn't tell"))
    }

    @Test func littleMemoryIsAWarningOnly() {
        var facts = good
        facts.availableMemory = 100 << 20
        #expect(Diagnosis(facts).isGood)
        #expect(Diagnosis(facts).text.contains("! only 100 MiB of memory are available"))
    }

    @Test func theJSONIsJSON() throws {
        var facts = good
        facts.probe["probe_detail"] = "a \"quote\", a \\, a\ttab and an é"
        facts.missingFiles = ["/x"]
        let object = try #require(try JSONSerialization.jsonObject(with: Data(Diagnosis(facts).json.utf8)) as? [String: Any])
        #expect(object["ok"] as? Bool == false)
        #expect(
            (object["checks"] as? [[String: String]])?.map { $0["name"] } == [
                "processor", "device", "api", "capabilities", "probe", "files", "memory", "speculation", "cores", "pages", "jail",
            ])
        #expect((object["probe"] as? [String: String])?["probe_detail"] == "a \"quote\", a \\, a\ttab and an é")
    }

    @Test func factsAreReadFromText() {
        #expect(MachineFacts.processorFlags("model name: x\nflags\t\t: fpu vmx sse\nflags : svm") == ["vmx"])
        #expect(MachineFacts.availableMemory("MemTotal: 9 kB\nMemAvailable:    1024 kB\n") == 1 << 20)
        #expect(MachineFacts.groupName(108, in: "root:x:0:\nkvm:x:108:me\n") == "kvm")
        #expect(MachineFacts.groupName(1, in: "root:x:0:\n") == nil)
    }
}
