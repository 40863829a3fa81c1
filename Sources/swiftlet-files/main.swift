// The file server's process: what a machine's guest asks about the host's trees, until the VMM hangs up. Started by `swiftlet`.
import Glibc

exit(FileService.run(Array(CommandLine.arguments.dropFirst())))
