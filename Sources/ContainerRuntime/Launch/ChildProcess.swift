// Running another program and waiting for it: posix_spawn(3), with an environment that says no more than PATH unless it has to.
import CLinux
import Glibc
import LinuxSystem
import Wire

struct ChildProcess {
    let pid: pid_t

    /// Starts `program` with `descriptor`, if one is given, as its descriptor `number`; all others that aren't close-on-exec are inherited.
    init(
        _ program: String, _ arguments: [String], descriptor: Int32? = nil, as number: Int32 = -1, environment: [Text] = Self.environment
    ) throws(SystemError) {
        try self.init(program, arguments, descriptors: descriptor.map { [($0, number)] } ?? [], environment: environment)
    }

    private static var environment: [Text] { ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"] }

    /// The same with several.
    init(
        _ program: String, _ arguments: [String], descriptors: [(descriptor: Int32, number: Int32)], environment: [Text] = Self.environment
    ) throws(SystemError) {
        // SAFETY: the actions are initialised before and destroyed after use; the argument vectors' strings are freed after the call that reads them.
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        // dup2 onto itself clears close-on-exec here, as POSIX wants it.
        for (descriptor, number) in descriptors { unsafe posix_spawn_file_actions_adddup2(&actions, descriptor, number) }
        var pid: pid_t = 0
        let code = unsafe CStringVector(arguments.map { Array($0.utf8) }).use { argv in
            unsafe CStringVector(environment.map(\.bytes)).use { envp in
                unsafe posix_spawn(&pid, program, &actions, nil, argv, envp)
            }
        }
        // posix_spawn returns the error instead of setting errno.
        if code != 0 { throw SystemError(call: "posix_spawn", subject: program, errno: code) }
        self.pid = pid
    }

    /// The exit code, or 128 + n after signal n.
    func wait() throws(SystemError) -> Int32 {
        var status: Int32 = 0
        let pid = self.pid
        // SAFETY: waitpid writes one int.
        try systemCall("waitpid") { unsafe waitpid(pid, &status, 0) }
        return status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + (status & 0x7F)
    }

    /// Doesn't wait; the status stays for `wait`.
    func hasEnded() throws(SystemError) -> Bool {
        var information = unsafe siginfo_t()
        let pid = self.pid
        // SAFETY: waitid writes one siginfo_t; with WNOHANG it leaves si_pid zero while the child runs.
        try systemCall("waitid") { unsafe waitid(P_PID, id_t(pid), &information, WEXITED | WNOHANG | WNOWAIT) }
        return unsafe information._sifields._sigchld.si_pid != 0
    }

    func terminate() { kill(pid, SIGKILL) }
}
