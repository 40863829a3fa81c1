// The seccomp program that a container's processes run under: found compiled where that is possible.
import Confinement
import Glibc
import Images
import LinuxSystem
import OCI
import Wire

enum SeccompFilter {
    /// Nil: no filter.
    static func program(for options: ConfinementOptions, _ installation: Installation) throws(ContainerError) -> SeccompProgram? {
        switch options.seccomp {
        case .unconfined: return nil
        case .standard:
            if options.isPrivileged { return nil }
            let file = try installation.open("the seccomp profiles", installation.seccompProfiles)
            let bytes = try read(file.descriptor.raw, "the seccomp profiles", limit: CompiledProfiles.sizeLimit, remedy: "install Swiftlet again")
            return try confining { () throws(ConfinementError) in
                let capabilities = try options.capabilities()
                if let program = try CompiledProfiles(bytes: bytes).program(for: capabilities) { return program }
                // Some milliseconds.
                return try SeccompCompiler.compile(.standard, for: capabilities)
            }
        case .file(let path):
            let bytes: [UInt8]
            do throws(SystemError) {
                let file = try OwnedDescriptor.open(path: path.bytes, O_RDONLY)
                bytes = try readAll(file.raw, limit: Int(JSONDocument.sizeLimit) + 1)
            } catch { throw .file(what: "the seccomp profile", error, remedy: "check --security-opt") }
            return try confining { () throws(ConfinementError) in
                try SeccompCompiler.compile(SeccompProfile(json: bytes, path: path.string), for: options.capabilities())
            }
        }
    }

    private static func read(_ file: Int32, _ what: String, limit: Int, remedy: String) throws(ContainerError) -> [UInt8] {
        do throws(SystemError) { return try readAll(file, limit: limit) } catch { throw .file(what: what, error, remedy: remedy) }
    }

    private static func confining(_ make: () throws(ConfinementError) -> SeccompProgram) throws(ContainerError) -> SeccompProgram {
        do throws(ConfinementError) { return try make() } catch { throw .confinement(error) }
    }
}
