// Why a container could not be confined as asked. Each text is a sentence without its full stop.
public import OCI

public enum ConfinementError: Error, Equatable, CustomStringConvertible {
    case unknownCapability(String)
    case profile(OCIError)
    /// libseccomp refused a rule or a filter; `errno` as it said.
    case compiler(step: String, errno: Int32)
    case programTooLong(instructions: Int)
    case damagedProfiles
    /// The profile refuses execve(2) itself.
    case startsNothing

    public var description: String {
        switch self {
        case .unknownCapability(let name): "unknown capability \"\(name)\": give a name of capabilities(7), such as NET_ADMIN, or ALL"
        case .profile(let error): error.description
        case .compiler(let step, let errno): "the seccomp profile can't be compiled: \(step) failed with error \(errno): simplify the profile"
        case .programTooLong(let instructions):
            "the seccomp profile needs \(instructions) instructions, but Linux takes at most \(SeccompProgram.instructionLimit): simplify the profile"
        case .startsNothing: "the seccomp profile refuses execve, so that nothing could be started: allow it"
        case .damagedProfiles: "the compiled seccomp profiles are damaged: install Swiftlet again"
        }
    }
}
