// From clone(2) to execve(2): what the child does to become a container's process.
internal import AgentProtocol
internal import CGuest
internal import FirstProcess
internal import GuestSystem
internal import Unpacker
internal import Wire

/// Everything that the child needs, prepared before it exists.
struct Launch {
    let container: Container
    let process: ProcessSpec
    /// The container's first process makes the container's surroundings; another one joins the namespaces of the process that this descriptor holds.
    let joins: Int32?
    /// The child's ends of its pipes; -1: /dev/null.
    let input: Int32
    let output: Int32
    let error: Int32
    let report: Int32
    let timeline: Int32

    static let namespaces: NamespaceFlags = [.process, .mount, .hostName, .interprocess]

    /// In the child. Never returns.
    func run() -> Never {
        do throws(Failure) {
            try prepare()
        } catch { Report.send(error, on: report) }
        Processes.exit(125)
    }

    private func prepare() throws(Failure) {
        Processes.resetSignals()
        Processes.startSession()
        if let identities = container.spec.identities { try actAsRoot(of: identities) }
        if let joins {
            // Until execve(2), what this process still holds of the agent's must not be reached by tracing it from inside.
            Processes.forbidTracing()
            do { try Processes.join([.mount, .hostName, .interprocess, .cgroup], of: joins) } catch {
                throw Failure(.agent, "the container's namespaces can't be joined: \(error)")
            }
        } else {
            // Only now, born into its control group: the namespace's root is the group that its maker is in.
            do { try Processes.enterNew(.cgroup) } catch { throw Failure(.agent, "the container's namespaces can't be made: \(error)") }
            let trees = try Mounts.takeTrees(container)
            try enterRoot()
            umask(0)
            for file in container.spec.files { try Unpacker.inject(file) }
            try Mounts.setUp(container.spec, trees)
            do { try Processes.setHostName(container.spec.hostname.bytes) } catch {
                throw Failure(.configuration, "the host name '\(name: container.spec.hostname.bytes)' can't be set: \(error)")
            }
            let domain = container.spec.domainName.bytes
            if !domain.isEmpty {
                do { try Processes.setDomainName(domain) } catch {
                    throw Failure(.configuration, "the domain name '\(name: domain)' can't be set: \(error)")
                }
            }
        }
        umask(process.umask)
        try enterWorkingDirectory()
        var identity = try Identity(resolving: process.user.bytes)
        identity.groups += process.additionalGroups
        try connectStreams(identity)
        if joins == nil { try Mounts.restrict(container.spec) }
        try limit()
        if container.spec.identities != nil { try enterUserNamespace() }

        var environment = process.environment.map { $0.bytes }
        let home: StaticString = "HOME="
        if !environment.contains(where: { $0.starts(with: Array(home)) && $0.count > 5 }) {
            environment.removeAll { $0.starts(with: Array(home)) }
            environment.append(Array(home) + identity.home)
        }
        let arguments = process.arguments.map { $0.bytes }
        guard let name = arguments.first else { throw Failure(.configuration, "no command was given, and the image has none") }
        try become(identity)
        let path = try Command.find(name, environment: environment)
        if process.waits { awaitExecution() }
        for number in 0..<process.hooks.count { try Hook.run(process.hooks[number], number, process.state) }
        InputOutput.writeByte(timeline, TimelineMark.processExecuted.rawValue, at: Int64(AgentProtocol.timelinePort))
        throw Command.failure(name, Processes.execute(path, arguments: arguments, environment: environment, filter: process.filter))
    }

    /// What is made in the container's root and mounted there is its own root's, not the machine's.
    private func actAsRoot(of identities: IdentityMap) throws(Failure) {
        guard let user = identities.user(outside: 0), let group = identities.group(outside: 0) else {
            throw Failure(.configuration, "the container's user namespace has no root")
        }
        do { try Processes.actOnFiles(asUser: user, group: group) } catch {
            throw Failure(.agent, "the container's root can't be acted for: \(error)")
        }
    }

    /// Last, for everything before needs the machine's root. The mounts and names that are the container's by now get namespaces anew, which belong to its own
    /// root.
    private func enterUserNamespace() throws(Failure) {
        do throws(SystemError) {
            if let joins { return try Processes.join(.user, of: joins) }
            try Processes.enterNew(.user)
            try InputOutput.send(report, [ReportTag.userNamespace])
        } catch { throw Failure(.agent, "the container's user namespace can't be made: \(error)") }
        guard let answer = try? InputOutput.receive(report, atMost: Report.lengthLimit), !answer.bytes.isEmpty else { Processes.exit(125) }
        if let failure = Report.failure(answer.bytes) { throw failure }
        do { try Processes.enterNew([.mount, .hostName, .cgroup]) } catch {
            throw Failure(.agent, "the namespaces of the container's root can't be made: \(error)")
        }
    }

    /// A report that ends means an agent that has ended, and everything with it.
    private func awaitExecution() {
        try? InputOutput.send(report, [ReportTag.ready])
        _ = try? InputOutput.receive(report, atMost: 1)
    }

    /// The container's root becomes this mount namespace's, and the agent's tree goes out of sight.
    private func enterRoot() throws(Failure) {
        do throws(SystemError) {
            try FileSystem.changeDirectory(container.root)
            try FileSystem.pivotRoot(".", ".")
            try FileSystem.unmount(".")
            try FileSystem.changeDirectory("/")
        } catch { throw Failure(.agent, "the container's root file system can't be entered: \(error)") }
    }

    /// As root, before the root file system may become read-only.
    private func enterWorkingDirectory() throws(Failure) {
        let path = process.workingDirectory.bytes
        if path.isEmpty { return }
        guard path.first == 0x2F else { throw Failure(.configuration, "the working directory '\(name: path)' is not an absolute path") }
        do throws(SystemError) {
            do { try FileSystem.changeDirectory(CPath(path)) } catch {
                guard error == .notFound else { throw error }
                try Unpacker.makeDirectories(path)
                try FileSystem.changeDirectory(CPath(path))
            }
        } catch { throw Failure(.configuration, "the working directory '\(name: path)' can't be entered: \(error)") }
    }

    private func connectStreams(_ identity: Identity) throws(Failure) {
        let identities = container.spec.identities
        // Nobody's where the namespace doesn't know them: `become` says so.
        let user = identities == nil ? identity.user : identities?.user(outside: identity.user) ?? 0
        let group = identities == nil ? identity.group : identities?.group(outside: identity.group) ?? 0
        // tty
        let terminals = identities == nil ? 5 : identities?.group(outside: 5) ?? 5
        do throws(SystemError) {
            if case .terminal(_, let size) = process.streams {
                let master = try Terminal.openMaster()
                let peer = try Terminal.openPeer(of: master.raw)
                Terminal.resize(master.raw, rows: size.rows, columns: size.columns)
                try FileSystem.changeOwner(peer.raw, user: user, group: terminals)
                if joins == nil { try Mounts.bindConsole(terminal: try Terminal.number(of: master.raw)) }
                try InputOutput.send(report, [ReportTag.terminal], descriptor: master.raw)
                Terminal.makeControlling(peer.raw)
                for number in Int32(0)...2 { try peer.duplicate(to: number) }
                return
            }
            var number: Int32 = 0
            for end in [input, output, error] {
                if end >= 0 {
                    // /proc/self/fd/N opens a pipe anew, with the checks of open(2): it must belong to the process's user.
                    try FileSystem.changeOwner(end, user: user, group: group)
                    let descriptor = OwnedDescriptor(owning: end)
                    try descriptor.duplicate(to: number)
                } else {
                    try OwnedDescriptor.open("/dev/null", O_RDWR).duplicate(to: number)
                }
                number += 1
            }
        } catch { throw Failure(.agent, "the process's streams can't be set up: \(error)") }
    }

    private func limit() throws(Failure) {
        if process.outOfMemoryAdjustment != 0 {
            do throws(SystemError) {
                let file = try OwnedDescriptor.open("/proc/self/oom_score_adj", O_WRONLY)
                try InputOutput.writeAll(file.raw, ("\(Int(process.outOfMemoryAdjustment))" as Sentence).bytes)
            } catch { throw Failure(.configuration, "the process's oom_score_adj can't be set: \(error)") }
        }
        for limit in process.limits {
            do { try Processes.setLimit(limit.resource, soft: limit.soft, hard: limit.hard) } catch {
                throw Failure(.configuration, "resource limit \(Int(limit.resource)) can't be set: \(error)")
            }
        }
    }

    /// CAP_SYS_ADMIN, which installing a filter needs unless privileges can't grow anyway (seccomp(2)).
    private static let systemAdministration: UInt64 = 1 << 21

    /// Bounding set first, which needs a capability that goes with the user; then the user; then what is kept, and what the filter needs. execve(2) leaves root
    /// what is in the bounding set, and others nothing, so the filter needn't allow what would drop the rest.
    private func become(_ identity: Identity) throws(Failure) {
        do throws(SystemError) {
            try Processes.boundCapabilities(process.capabilities)
            Processes.keepCapabilities()
            try Processes.become(user: identity.user, group: identity.group, groups: identity.groups)
            if process.noNewPrivileges { try Processes.forbidNewPrivileges() }
            let own = identity.user == 0 ? process.capabilities : 0
            var sets = process.capabilitySets ?? CapabilitySets(effective: own, permitted: own)
            sets.effective &= sets.permitted
            sets.inheritable &= process.capabilities
            sets.ambient &= sets.permitted & sets.inheritable
            // Gone with execve(2): the bounding set doesn't have it, or the user isn't root.
            let forFilter = process.noNewPrivileges || process.filter.isEmpty ? 0 : Launch.systemAdministration
            try Processes.setCapabilities(
                effective: sets.effective | forFilter, permitted: sets.permitted | forFilter, inheritable: sets.inheritable, ambient: sets.ambient)
        } catch { throw Failure(.agent, "the process can't become user \(Int(identity.user)): \(error)") }
    }
}
