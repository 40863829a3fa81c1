// What a guest could learn or do beside the virtual machine's own walls, as far as the host's kernel tells.
import CJail
import LinuxSystem

/// The host's state as `swiftlet doctor` reports it. It is for its administrator to change: nothing here keeps a container from running.
struct IsolationFacts: Equatable, Sendable {
    /// /sys/devices/system/cpu/vulnerabilities: the kernel's sentence for each weakness that its processor may have.
    var vulnerabilities: [String: String] = [:]
    /// Two threads of different guests may run on one core; nil where the kernel doesn't say.
    var sharesCores: Bool?
    /// The host merges equal pages, which tells guests what others have in memory.
    var mergesPages = false
    /// Landlock's version; 0 where the kernel lacks it.
    var landlock = 0
    var hasCgroups = false

    static func gather() -> IsolationFacts {
        var facts = IsolationFacts()
        let directory = "/sys/devices/system/cpu/vulnerabilities"
        for name in names(directory) { facts.vulnerabilities[name] = line("\(directory)/\(name)") }
        facts.sharesCores = line("/sys/devices/system/cpu/smt/active").map { $0 == "1" }
        facts.mergesPages = line("/sys/kernel/mm/ksm/run") == "1"
        facts.landlock = max(0, Int(cjail_landlock_version()))
        facts.hasCgroups = line("/sys/fs/cgroup/cgroup.controllers") != nil || line("/sys/fs/cgroup/memory/cgroup.procs") != nil
        return facts
    }

    private static func names(_ directory: String) -> [String] {
        do throws(SystemError) {
            let directory = try OwnedDescriptor.open(directory, 0)
            return try directory.names(limit: 256).map { String(decoding: $0, as: UTF8.self) }
        } catch { return [] }
    }

    private static func line(_ path: String) -> String? {
        do throws(SystemError) {
            let file = try OwnedDescriptor.open(path, 0)
            let text = String(decoding: try readAll(file.raw, limit: 4096), as: UTF8.self)
            return text.split(separator: "\n").first.map(String.init) ?? ""
        } catch { return nil }
    }
}

extension IsolationFacts {
    var checks: [Check] { [speculation, cores, memory, walls] }

    /// What the kernel says it has no mitigation against.
    private var speculation: Check {
        let open = vulnerabilities.filter { $0.value.hasPrefix("Vulnerable") }.map(\.key).sorted()
        if vulnerabilities.isEmpty {
            return Check("speculation", .warning, "the kernel doesn't tell which weaknesses of its processor are mitigated")
        }
        if open.isEmpty { return Check("speculation", .ok, "the processor's known weaknesses are mitigated") }
        return Check(
            "speculation", .warning, "not mitigated: \(open.joined(separator: ", ")): a guest may learn what others compute",
            remedy: "update the microcode and the kernel, and boot without mitigations=off")
    }

    private var cores: Check {
        let affected = vulnerabilities.filter { $0.value.contains("SMT vulnerable") }.map(\.key).sorted()
        switch sharesCores {
        case true where !affected.isEmpty:
            return Check(
                "cores", .warning, "guests share cores (SMT is on), which leaks by \(affected.joined(separator: ", "))",
                remedy: "where guests of different owners meet, switch SMT off: 'echo off > /sys/devices/system/cpu/smt/control', or boot with nosmt")
        case true: return Check("cores", .ok, "guests share cores (SMT is on); no leak by it is known to the kernel")
        default: return Check("cores", .ok, "guests don't share cores (SMT is off)")
        }
    }

    private var memory: Check {
        mergesPages
            ? Check(
                "pages", .warning, "the kernel merges equal pages (KSM), by which a guest can learn what others have in memory",
                remedy: "switch it off: 'echo 2 > /sys/kernel/mm/ksm/run'")
            : Check("pages", .ok, "the kernel doesn't merge pages of different guests (KSM is off)")
    }

    private var walls: Check {
        var missing: [String] = []
        if landlock == 0 { missing.append("Landlock") }
        if !hasCgroups { missing.append("cgroups") }
        if missing.isEmpty { return Check("jail", .ok, "the jail has all its walls (Landlock \(landlock), cgroups)") }
        return Check(
            "jail", .warning, "the jail goes without \(missing.joined(separator: " and "))",
            remedy: "boot with lsm=landlock,… and mount /sys/fs/cgroup; without cgroups, root must give --cgroups=disabled")
    }
}
