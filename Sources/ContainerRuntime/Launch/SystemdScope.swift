// A cgroup that systemd keeps: a transient scope unit, asked for over D-Bus by systemd's own busctl(1), as org.freedesktop.systemd1(5) describes it (docs/adr/0019).
import Glibc
import Jail
import LinuxSystem

/// As `linux.cgroupsPath` names it where an engine says --systemd-cgroup: SLICE:PREFIX:NAME.
struct SystemdScope: Equatable, Sendable {
    let slice: String
    let unit: String

    /// Nil for a path of another form, and for names that are none of systemd's.
    init?(cgroupsPath: String) {
        let parts = cgroupsPath.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 3, !parts[2].isEmpty else { return nil }
        slice = parts[0].isEmpty ? "system.slice" : parts[0]
        unit = (parts[1].isEmpty ? "" : parts[1] + "-") + parts[2] + ".scope"
        // systemd.unit(5): at most 255 of these.
        let isName = [slice, unit].allSatisfy { name in
            name.utf8.count <= 255
                && name.utf8.allSatisfy { byte in
                    switch byte {
                    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
                    case UInt8(ascii: ":"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "\\"), UInt8(ascii: "@"): true
                    default: false
                    }
                }
        }
        guard isName, slice.hasSuffix(".slice") else { return nil }
    }

    /// A scope lives as long as there are processes in it; until the container's are, this one is.
    final class Started {
        let path: String
        private let placeholder: Placeholder

        fileprivate init(path: String, placeholder: Placeholder) {
            self.path = path
            self.placeholder = placeholder
        }
    }

    /// A process that does nothing, until its value goes or this process does: it reads a pipe that nobody writes.
    fileprivate final class Placeholder {
        let process: ChildProcess
        private let pipe: Pipe

        init() throws(SystemError) {
            pipe = try OwnedDescriptor.pipe()
            process = try ChildProcess("/bin/cat", ["cat"], descriptor: pipe.reading.raw, as: STDIN_FILENO)
        }

        deinit {
            process.terminate()
            _ = try? process.wait()
        }
    }

    /// In microseconds; as long as runc waits.
    private static let patience: UInt64 = 30_000_000

    /// Asks for the scope and waits until it is there.
    func start(_ limits: CgroupLimits, for container: String) throws(ContainerError) -> Started {
        do {
            let placeholder = try Placeholder()
            let properties =
                [
                    ["Description", "s", "swiftlet container \(container)"], ["Slice", "s", slice], ["Delegate", "b", "true"],
                    ["DefaultDependencies", "b", "false"], ["CollectMode", "s", "inactive-or-failed"],
                    ["PIDs", "au", "1", "\(placeholder.process.pid)"],
                ] + limits.systemdProperties
            let deadline = monotonicNanoseconds() + Self.patience * 1000
            while let problem = try Self.call("StartTransientUnit", "ssa(sv)a(sa(sv))", [unit, "replace"] + Self.list(properties) + ["0"]) {
                // Of a container of the same name that has just ended.
                guard problem.contains("already"), monotonicNanoseconds() < deadline else { throw refusal(problem) }
                _ = try Self.call("ResetFailedUnit", "s", [unit])
                usleep(50_000)
            }
            while monotonicNanoseconds() < deadline {
                if let path = Cgroup.path(of: placeholder.process.pid), path.hasSuffix("/" + unit) {
                    return Started(path: path, placeholder: placeholder)
                }
                usleep(500)
            }
            throw refusal("it did not begin within \(Self.patience / 1_000_000) s")
        } catch let error as SystemError {
            throw .system(what: "systemd cannot be asked for the cgroup \(unit)", error)
        } catch let error as ContainerError { throw error } catch { preconditionFailure("no other errors are thrown") }
    }

    /// Other limits for a scope that is there.
    static func set(_ limits: CgroupLimits, of unit: String) throws(ContainerError) {
        let properties = limits.systemdProperties
        if properties.isEmpty { return }
        do {
            guard let problem = try call("SetUnitProperties", "sba(sv)", [unit, "true"] + list(properties)) else { return }
            throw ContainerError.container("systemd does not change the limits of \(unit): \(problem)")
        } catch let error as SystemError {
            throw .system(what: "systemd cannot be asked to change the limits of \(unit)", error)
        } catch let error as ContainerError { throw error } catch { preconditionFailure("no other errors are thrown") }
    }

    private func refusal(_ problem: String) -> ContainerError {
        .container(
            "systemd does not make the cgroup \(unit) in \(slice): \(problem): without systemd, tell the engine to manage cgroups by itself (cgroupfs)"
        )
    }

    private static func list(_ properties: [[String]]) -> [String] { ["\(properties.count)"] + properties.flatMap { $0 } }

    /// What went wrong; nil: nothing.
    private static func call(_ method: String, _ signature: String, _ arguments: [String]) throws(SystemError) -> String? {
        let errors = try OwnedDescriptor.memory(named: "swiftlet-errors")
        let service = "org.freedesktop.systemd1"
        let child = try ChildProcess(
            "/usr/bin/busctl",
            ["busctl", "call", "--quiet", service, "/org/freedesktop/systemd1", service + ".Manager", method, signature, "--"] + arguments,
            descriptor: errors.raw, as: STDERR_FILENO)
        if try child.wait() == 0 { return nil }
        let text = String(decoding: try readAt(errors.raw, offset: 0, count: 4096), as: UTF8.self)
        return text.split(separator: "\n").last.map(String.init) ?? "busctl failed without a word"
    }
}
