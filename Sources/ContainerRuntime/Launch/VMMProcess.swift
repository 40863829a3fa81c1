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
        let bytes = configuration.wireBytes
        guard bytes.count <= LaunchConfiguration.sizeLimit else { throw .tooLargeRequest }
        do throws(SystemError) {
            let memory = try OwnedDescriptor.memory(named: "swiftlet-configuration")
            // At an offset: the reader finds the file's own at the beginning.
            try writeAt(memory.raw, offset: 0, bytes)
            for file in files { try file.descriptor.keepAcrossExec() }
            try memory.keepAcrossExec()
            let arguments = [program, LaunchConfiguration.descriptorArgument, "\(memory.raw)"].map { Array($0.utf8) }
            try systemCall("execve", on: program) {
                // SAFETY: execve copies the vectors; it returns only on failure, while they are still there.
                unsafe CStringVector(arguments).use { argv in unsafe CStringVector([]).use { envp in unsafe execve(program, argv, envp) } }
            }
        } catch { throw .file(what: "the VMM", error, remedy: "install Swiftlet again") }
        preconditionFailure("execve returned without an error")
    }
}
