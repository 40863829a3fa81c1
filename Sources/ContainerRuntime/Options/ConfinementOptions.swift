// How the container inside the guest is confined: --cap-add, --cap-drop, --privileged, --security-opt and --pids-limit, as Docker has them.
import Confinement
public import Wire

public struct ConfinementOptions: Equatable, Sendable {
    public enum Seccomp: Equatable, Sendable {
        /// The default profile; none for a privileged container.
        case standard
        case unconfined
        /// A profile of the user's, as JSON.
        case file(Text)
    }

    public var addedCapabilities: [String] = []
    public var droppedCapabilities: [String] = []
    public var isPrivileged = false
    public var noNewPrivileges = false
    public var seccomp = Seccomp.standard
    /// Nothing in /proc and /sys is masked or read-only.
    public var exposesSystemPaths = false
    /// 0: none.
    public var processLimit: UInt32 = 0

    public init() {}

    /// A privileged container has all, whatever else was asked for.
    func capabilities() throws(ConfinementError) -> CapabilitySet {
        isPrivileged ? .all : try CapabilitySet(adding: addedCapabilities, dropping: droppedCapabilities)
    }

    /// One `--security-opt`; the result says what is wrong with it.
    mutating func apply(securityOption text: Text) -> String? {
        let bytes = text.bytes
        // Docker's old separator works too.
        let end = bytes.firstIndex { $0 == UInt8(ascii: "=") || $0 == UInt8(ascii: ":") } ?? bytes.endIndex
        let value = end < bytes.endIndex ? Text(bytes: Array(bytes[(end + 1)...])) : nil
        switch (String(decoding: bytes[..<end], as: UTF8.self), value) {
        case ("no-new-privileges", let value):
            switch value?.string {
            case nil, "true": noNewPrivileges = true
            case "false": noNewPrivileges = false
            default: return "no-new-privileges is true or false"
            }
        case ("seccomp", .some("unconfined")): seccomp = .unconfined
        case ("seccomp", .some("builtin")): seccomp = .standard
        case ("seccomp", .some(let path)) where !path.isEmpty: seccomp = .file(path)
        case ("systempaths", .some("unconfined")): exposesSystemPaths = true
        // There is neither AppArmor nor SELinux in the guest's kernel, so this is what they get.
        case ("apparmor", .some("unconfined")), ("label", .some("disable")): break
        case ("apparmor", _), ("label", _): return "there is no such confinement in the machine: leave it out"
        default: return "it must be seccomp=FILE, seccomp=unconfined, no-new-privileges or systempaths=unconfined"
        }
        return nil
    }
}
