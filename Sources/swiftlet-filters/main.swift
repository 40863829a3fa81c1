// Writes the VMM's compiled seccomp filters when Swiftlet is built: swiftlet-filters FILE. With --list, prints for each kind of thread what it may do and why.
import Glibc
import Jail
import LinuxSystem
import Wire

func run(_ arguments: [String]) throws -> Int32 {
    switch arguments.count {
    case 1 where arguments[0] == "--list":
        for kind in ThreadKind.allCases {
            print("\(kind): \(Set(kind.rules.map(\.call)).count) system calls")
            for rule in kind.rules { print("  \(rule.call)\(rule.conditions.isEmpty ? "" : " (arguments checked)"): \(rule.reason)") }
        }
    case 1:
        let set = try FilterSet(programs: try ThreadKind.allCases.map { try Compilation.program($0.rules) }, names: Compilation.names())
        // A file that is in use by a start stays whole: the new one takes its name.
        let temporary = arguments[0] + ".new"
        let file = try OwnedDescriptor.open(temporary, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644)
        try writeAll(file.raw, set.wireBytes)
        // SAFETY: rename reads both strings during the call.
        try systemCall("rename", on: arguments[0]) { unsafe rename(temporary, arguments[0]) }
    default:
        printError("usage: swiftlet-filters FILE | --list")
        return 2
    }
    return 0
}

do {
    exit(try run(Array(CommandLine.arguments.dropFirst())))
} catch {
    printError("swiftlet-filters: \(error)")
    exit(1)
}
