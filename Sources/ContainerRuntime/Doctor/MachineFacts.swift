// What `swiftlet doctor` looks at: found here, judged in Diagnosis.
import CLinux
import Glibc
import LinuxSystem

/// What this machine is like, as far as running containers depends on it.
struct MachineFacts: Equatable, Sendable {
    enum Device: Equatable, Sendable {
        case usable
        case missing
        /// The group that may open it, where that is known.
        case denied(group: String?)
        case failing(String)
    }

    var device = Device.missing
    /// Words of the first "flags" line in /proc/cpuinfo that matter here: vmx, svm, hypervisor.
    var processorFlags: Set<String> = []
    /// In bytes.
    var availableMemory: UInt64 = 0
    /// Files of the installation that can't be read, or executed where they are programs.
    var missingFiles: [String] = []
    /// What `swiftlet-vmm --probe` printed; empty where it couldn't be run.
    var probe: [String: String] = [:]
    var isolation = IsolationFacts()

    static func gather(_ installation: Installation) -> MachineFacts {
        var facts = MachineFacts()
        facts.device = device()
        facts.processorFlags = processorFlags(text("/proc/cpuinfo"))
        facts.availableMemory = availableMemory(text("/proc/meminfo"))
        for (path, mode) in [
            (installation.vmm, X_OK), (installation.kernel, R_OK), (installation.initrd, R_OK), (installation.unpackingInitrd, R_OK),
            (installation.diskTemplate, R_OK),
            (installation.registryClient, X_OK), (installation.filters, R_OK),
        ] where !isAccessible(path, mode) {
            facts.missingFiles.append(path)
        }
        facts.probe = probe(installation)
        facts.isolation = .gather()
        return facts
    }

    private static func device() -> Device {
        do throws(KVMDeviceError) {
            _ = try KVMDevice.open()
            return .usable
        } catch {
            switch error {
            case .missing: return .missing
            case .notPermitted: return .denied(group: groupOfDevice())
            case .system(let error): return .failing(error.reason)
            }
        }
    }

    private static func groupOfDevice() -> String? {
        var status = stat()
        // SAFETY: stat reads the path and writes one `stat`.
        guard unsafe stat("/dev/kvm", &status) == 0 else { return nil }
        return groupName(status.st_gid, in: text("/etc/group"))
    }

    /// `name:password:number:members` each; libc's own look-up would load shared libraries into a static program.
    static func groupName(_ number: UInt32, in groups: String) -> String? {
        for line in groups.split(separator: "\n") {
            let fields = line.split(separator: ":", omittingEmptySubsequences: false)
            if fields.count >= 3, fields[2] == "\(number)" { return String(fields[0]) }
        }
        return nil
    }

    static func processorFlags(_ information: String) -> Set<String> {
        guard let line = information.split(separator: "\n").first(where: { $0.hasPrefix("flags") }) else { return [] }
        return Set(line.split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init)).intersection(["vmx", "svm", "hypervisor"])
    }

    static func availableMemory(_ information: String) -> UInt64 {
        guard let line = information.split(separator: "\n").first(where: { $0.hasPrefix("MemAvailable:") }) else { return 0 }
        return (line.split(separator: " ").dropFirst().first.flatMap { UInt64($0) } ?? 0) << 10
    }

    /// `key=value` lines.
    static func probe(_ output: String) -> [String: String] {
        var values: [String: String] = [:]
        for line in output.split(separator: "\n") {
            let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2 { values[String(parts[0])] = String(parts[1]) }
        }
        return values
    }

    private static func text(_ path: String) -> String {
        do throws(SystemError) {
            let file = try OwnedDescriptor.open(path, O_RDONLY)
            return String(decoding: try readAll(file.raw, limit: 1 << 20), as: UTF8.self)
        } catch { return "" }
    }

    private static func isAccessible(_ path: String, _ mode: Int32) -> Bool {
        // SAFETY: access reads the string during the call.
        unsafe access(path, mode) == 0
    }

    /// Runs the VMM's own probe with its output in memory; a probe that doesn't come back is ended after `probeLimit`.
    private static func probe(_ installation: Installation) -> [String: String] {
        let limit = monotonicNanoseconds() + probeLimit
        do throws(SystemError) {
            let output = try OwnedDescriptor.memory(named: "swiftlet-probe")
            let child = try ChildProcess(installation.vmm, [installation.vmm, "--probe"], descriptor: output.raw, as: STDOUT_FILENO)
            while try !child.hasEnded() {
                if monotonicNanoseconds() > limit {
                    child.terminate()
                    _ = try child.wait()
                    return ["probe": "slow", "probe_detail": "it did not end within \(probeLimit / 1_000_000_000) s"]
                }
                usleep(1000)
            }
            return probe(String(decoding: try readAt(output.raw, offset: 0, count: 65_536), as: UTF8.self))
        } catch { return [:] }
    }

    /// In nanoseconds.
    private static let probeLimit: UInt64 = 20_000_000_000
}
