// seccomp-profiles FILE: compiles the default seccomp profile for the containers that most people start. Part of the build.
import Confinement
import Glibc
import LinuxSystem

do {
    guard CommandLine.arguments.count == 2 else { throw SystemError(call: "usage: seccomp-profiles FILE", errno: EINVAL) }
    let profiles = try CompiledProfiles()
    let file = try OwnedDescriptor.open(CommandLine.arguments[1], O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644)
    try writeAt(file.raw, offset: 0, profiles.bytes)
    for (_, program) in profiles.programs { print("seccomp profile: \(program.instructions) instructions") }
} catch {
    print("seccomp-profiles: \(error)")
    exit(1)
}
