// The `swiftlet` command: chooses the subcommand, prints its errors, exits with its status.
import CLinux
import ContainerRuntime
import Glibc
import LinuxSystem
import Wire

// The timeline's zero, before anything else is done.
let launched = monotonicNanoseconds()

Process.openMissingStandardDescriptors()
do throws(ContainerError) {
    try Command.run(Process.arguments, launched: launched)
} catch {
    Process.report(error)
    exit(ContainerError.exitCode)
}
