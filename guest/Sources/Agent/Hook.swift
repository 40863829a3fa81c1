// A hook of the container's: a program that runs to its end before the container's process is executed ("startContainer", config.md of the OCI runtime specification).
internal import AgentProtocol
internal import CGuest
internal import FirstProcess
internal import GuestSystem
internal import Wire

enum Hook {
    /// As this process, with its streams but for standard input, which has `state`.
    static func run(_ hook: HookSpec, _ number: Int, _ state: [UInt8]) throws(Failure) {
        func failure(_ problem: Sentence) -> Failure {
            Failure(.configuration, "error running startContainer hook #\(number): \(name: hook.path.bytes): \(problem)")
        }
        let child: Int32
        do throws(SystemError) {
            // Said in words, not by the status of a child that can't execute it.
            _ = try FileStatus(of: CPath(hook.path.bytes), followingLinks: true)
            let input = try OwnedDescriptor.memory(state)
            child = try Processes.fork()
            if child == 0 {
                do throws(SystemError) {
                    try input.duplicate(to: 0)
                    throw Processes.execute(
                        CPath(hook.path.bytes), arguments: hook.arguments.map { $0.bytes }, environment: hook.environment.map { $0.bytes }, filter: []
                    )
                } catch { Processes.exit(127) }
            }
        } catch { throw failure("\(error)") }
        switch Processes.wait(child, milliseconds: hook.timeout == 0 ? -1 : Int32(min(hook.timeout, 2_000_000)) * 1000) {
        case .exited(0): return
        case .exited(let code): throw failure("exit status \(Int(code))")
        case .signalled(let number): throw failure("signal \(Int(number))")
        case nil:
            try? Processes.signal(child, 9)
            _ = Processes.wait(child)
            throw failure("it took more than \(Int(hook.timeout)) s")
        }
    }
}
