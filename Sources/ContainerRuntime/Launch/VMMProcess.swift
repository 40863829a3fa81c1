// Becoming the VMM: the configuration on a memfd, the descriptors kept open, execve(2).
import CLinux
import Glibc
import Images
import LaunchConfiguration
import LinuxSystem
import Wire

enum VMMProcess {
    static func replaceThisProcess(
        program: String, configuration: LaunchConfiguration, handing files: [OpenFile]
    ) throws(ContainerError) -> Never {
        do throws(SystemError) {
            let memory = try Self.memory(configuration)
            for file in files { try file.descriptor.keepAcrossExec() }
            try memory.keepAcrossExec()
            let arguments = Self.arguments(program, memory).map { Array($0.utf8) }
            try systemCall("execve", on: program) {
                // SAFETY: execve copies the vectors; it returns only on failure, while they are still there.
                unsafe CStringVector(arguments).use { argv in unsafe CStringVector([]).use { envp in unsafe execve(program, argv, envp) } }
            }
        } catch { throw failure(error) }
        preconditionFailure("execve returned without an error")
    }

    /// Starts it beside this process. `files` must not be handed to anybody else meanwhile.
    static func spawn(
        program: String, configuration: LaunchConfiguration, handing files: [OpenFile]
    ) throws(SystemError) -> ChildProcess {
        let memory = try Self.memory(configuration)
        for file in files { try file.descriptor.keepAcrossExec() }
        try memory.keepAcrossExec()
        return try ChildProcess(program, arguments(program, memory))
    }

    private static func memory(_ configuration: LaunchConfiguration) throws(SystemError) -> OwnedDescriptor {
        let bytes = configuration.wireBytes
        guard bytes.count <= LaunchConfiguration.sizeLimit else { throw SystemError(call: "execve", errno: E2BIG) }
        let memory = try OwnedDescriptor.memory(named: "swiftlet-configuration")
        // At an offset: the reader finds the file's own at the beginning.
        try writeAt(memory.raw, offset: 0, bytes)
        return memory
    }

    private static func arguments(_ program: String, _ memory: borrowing OwnedDescriptor) -> [String] {
        [program, LaunchConfiguration.descriptorArgument, "\(memory.raw)"]
    }

    private static func failure(_ error: SystemError) -> ContainerError {
        error.errno == E2BIG ? .tooLargeRequest : .file(what: "the VMM", error, remedy: "install Swiftlet again")
    }
}
