// From facts to a verdict: each check in plain words, with the way out where it fails.

/// One thing that must be, or had better be, so.
struct Check: Equatable, Sendable {
    enum Status: String, Sendable { case ok, warning, failed }

    /// Stable, for programs.
    let name: String
    let status: Status
    let detail: String
    /// Empty where nothing need be done.
    let remedy: String

    init(_ name: String, _ status: Status, _ detail: String, remedy: String = "") {
        self.name = name
        self.status = status
        self.detail = detail
        self.remedy = remedy
    }
}

struct Diagnosis: Equatable, Sendable {
    let checks: [Check]
    let facts: MachineFacts

    /// This machine can run containers.
    var isGood: Bool { checks.allSatisfy { $0.status != .failed } }

    init(_ facts: MachineFacts) {
        self.facts = facts
        checks = [Self.processor(facts), Self.device(facts)] + Self.kvm(facts) + [Self.files(facts), Self.memory(facts)] + facts.isolation.checks
    }

    private static let nested =
        "enable virtualisation in the firmware; where this is a virtual machine itself, enable nested virtualisation on its host"

    private static func processor(_ facts: MachineFacts) -> Check {
        let place = facts.processorFlags.contains("hypervisor") ? ", inside a virtual machine" : ""
        if facts.processorFlags.contains("vmx") { return Check("processor", .ok, "the processor has Intel VT-x\(place)") }
        if facts.processorFlags.contains("svm") { return Check("processor", .ok, "the processor has AMD-V\(place)") }
        // Other back ends of KVM exist; the probe has the last word.
        return Check("processor", .warning, "the processor shows neither VT-x (vmx) nor AMD-V (svm)\(place)", remedy: nested)
    }

    private static func device(_ facts: MachineFacts) -> Check {
        switch facts.device {
        case .usable: return Check("device", .ok, "/dev/kvm can be opened")
        case .missing:
            let hasHardware = !facts.processorFlags.isDisjoint(with: ["vmx", "svm"])
            return Check(
                "device", .failed, "there is no /dev/kvm",
                remedy: hasHardware ? "load the module: 'modprobe kvm_intel' or 'modprobe kvm_amd' as root" : nested)
        case .denied(let group):
            let remedy =
                group.map { "join the group: 'sudo usermod -aG \($0) $USER', then log in again" }
                ?? "let your user read and write /dev/kvm"
            return Check("device", .failed, "you may not open /dev/kvm", remedy: remedy)
        case .failing(let reason):
            return Check("device", .failed, "/dev/kvm cannot be opened: \(reason)", remedy: "check 'dmesg' for messages of kvm")
        }
    }

    /// What the VMM itself found out; nothing where the device can't be opened anyway.
    private static func kvm(_ facts: MachineFacts) -> [Check] {
        guard facts.device == .usable else { return [] }
        if facts.probe.isEmpty {
            return [Check("probe", .failed, "swiftlet-vmm --probe could not be run", remedy: "install Swiftlet again")]
        }
        var checks: [Check] = []
        if let version = facts.probe["api_version"] {
            checks.append(
                version == "12"
                    ? Check("api", .ok, "KVM's API has version 12")
                    : Check("api", .failed, "KVM's API has version \(version), not 12", remedy: "use a kernel of Linux 5.10 or later"))
        }
        let missing = facts.missingCapabilities
        if missing.isEmpty {
            checks.append(Check("capabilities", .ok, "KVM can do all that is needed"))
        } else {
            // The VMM runs its probe only where nothing is lacking that it needs.
            let status: Check.Status = facts.probe["probe"] == "unavailable" ? .failed : .warning
            let list = missing.joined(separator: ", ")
            checks.append(Check("capabilities", status, "KVM lacks \(list)", remedy: "use a newer kernel on this machine"))
        }
        checks.append(probe(facts))
        return checks
    }

    private static func probe(_ facts: MachineFacts) -> Check {
        let microseconds = facts.probe["probe_ns"].flatMap { UInt64($0) }.map { "\($0 / 1000) µs" }
        let detail = (facts.probe["probe_detail"] ?? microseconds).map { $0.isEmpty ? "" : " (\($0))" } ?? ""
        let remedy = "this KVM is not backed by hardware virtualisation: use another machine, or 'scripts/lab' for development"
        switch facts.probe["probe"] {
        case "ok":
            let time = microseconds.map { " in \($0)" } ?? ""
            return Check("probe", .ok, "a probe machine ran kernel-mode code\(time)")
        case "slow": return Check("probe", .failed, "kernel-mode code runs far too slowly here\(detail)", remedy: remedy)
        case "failed": return Check("probe", .failed, "kernel-mode code fails here\(detail)", remedy: remedy)
        default: return Check("probe", .failed, "the probe machine could not be run\(detail)", remedy: "check 'dmesg' for messages of kvm")
        }
    }

    private static func files(_ facts: MachineFacts) -> Check {
        facts.missingFiles.isEmpty
            ? Check("files", .ok, "Swiftlet's own files are there")
            : Check(
                "files", .failed, "cannot be read: \(facts.missingFiles.joined(separator: ", "))",
                remedy: "run 'make build' or 'make install' again")
    }

    private static func memory(_ facts: MachineFacts) -> Check {
        let available = facts.availableMemory >> 20
        return facts.availableMemory >= RunOptions.defaultMemory
            ? Check("memory", .ok, "\(available) MiB of memory are available")
            : Check(
                "memory", .warning, "only \(available) MiB of memory are available; a machine may use \(RunOptions.defaultMemory >> 20) MiB",
                remedy: "end other programs, or give --memory a smaller size")
    }
}

extension MachineFacts {
    var missingCapabilities: [String] {
        let prefix = "capability."
        return probe.filter { $0.key.hasPrefix(prefix) && $0.value != "1" }.map { String($0.key.dropFirst(prefix.count)) }.sorted()
    }
}
