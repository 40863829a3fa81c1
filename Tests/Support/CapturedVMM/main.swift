// A swiftlet-vmm with a traitor: a thread of it does what somebody would try who has taken the VMM over. Tests install it as PREFIX/bin/swiftlet-vmm, where the last part of
// PREFIX says what is tried, and as which kind of thread: ATTACK@KIND (Tests/Support/CAttacks).
import CAttacks
import Glibc
import Jail
import LinuxSystem
import Supervisor

func plan() -> (attack: String, kind: ThreadKind)? {
    let parts = (CommandLine.arguments.first ?? "").split(separator: "/")
    guard parts.count >= 3 else { return nil }
    let words = parts[parts.count - 3].split(separator: "@").map(String.init)
    guard words.count == 2, let kind = ThreadKind.allCases.first(where: { "\($0)" == words[1] }) else { return nil }
    return (words[0], kind)
}

exit(
    Launch.run(Array(CommandLine.arguments.dropFirst())) { filters in
        guard let (attack, kind) = plan() else { throw SystemError(call: "plan", errno: EINVAL) }
        try Thread.start(named: "traitor") {
            while cattacks_is_locked() == 0 { usleep(1000) }
            // The main thread is about to install its filter, as the last one.
            usleep(100_000)
            do { try filters.install(kind) } catch { exit(1) }
            // SAFETY: the string outlives the call.
            if unsafe cattacks_try(attack) == 0 { printError("there is no attack '\(attack)'") }
            printError("attacks ended")
        }
    })
