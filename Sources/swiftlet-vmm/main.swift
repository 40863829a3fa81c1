// The VMM's process: one microVM and its supervisor. Started by `swiftlet`, which hands over /dev/kvm and the configuration on descriptors.
import Glibc
import Supervisor
import VMM

let words = Array(CommandLine.arguments.dropFirst())
exit(words == ["--probe"] ? HostReport.print() : Launch.run(words))
