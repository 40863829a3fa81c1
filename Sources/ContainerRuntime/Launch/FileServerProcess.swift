// The server of the host's files as a child of this process (docs/adr/0016). It ends when the VMM does, and at the latest with this value, unless that let it live on.
import CLinux
import FileServer
import Glibc
import Images
import Jail
import LaunchConfiguration
import LinuxSystem
import Wire

final class FileServerProcess {
    private let process: JailedProcess
    /// Holds what the server sent (`Jail.enterAsFileServer`).
    private let lifeline: OwnedDescriptor
    private var vmmSocket: SharedDescriptor?
    private var livesOn = false

    /// `trees`: with the mounts that they are for, in the same order. `endsMachine`: whether it can take all memory from the cgroup (`FileServerNotice.outOfMemory`). `streams`: its standard ones, if not this process's.
    init(
        _ trees: [OpenFile], for mounts: [BindMount], cache: CacheMode, from installation: Installation, in cgroup: Cgroup?,
        endsMachine: Bool = false, streams: Int32? = nil
    )
        throws(ContainerError)
    {
        let filters = try installation.open("the seccomp filters", installation.filters)
        let identity = Identity.availableForFiles
        do {
            let sockets = try OwnedDescriptor.packetSocketPair()
            let lifelines = try OwnedDescriptor.socketPair(nonBlocking: false)
            let limits = endsMachine ? cgroup?.memoryLimits() ?? [] : []
            let arguments = FileServerArguments(
                socket: sockets.first.raw, filters: filters.descriptor.raw, lifeline: lifelines.first.raw, identity: identity.rawValue,
                cache: cache.rawValue, memoryLimits: limits.map(\.raw),
                trees: zip(trees, mounts).map { .init(descriptor: $0.descriptor.raw, isReadOnly: $1.isReadOnly) })
            process = try JailedProcess(
                [installation.fileServer] + arguments.words, as: identity, kept: arguments.descriptors, cgroup: cgroup, streams: streams)
            // The child has its own now; until then none of these may be closed.
            withExtendedLifetime((trees, filters, limits)) {}
            lifeline = lifelines.second
            vmmSocket = SharedDescriptor(sockets.second)
        } catch let error as JailError {
            throw .jail(error)
        } catch let error as SystemError {
            throw .system(what: "the server of the host's files cannot be started", error)
        } catch { preconditionFailure("no other errors are thrown") }
    }

    /// The VMM's end of the socket, until `letGo`.
    var socket: Int32? { vmmSocket?.raw }

    /// The VMM has its end: from now on the server sees when it is gone.
    func letGo() { vmmSocket = nil }

    /// It ends with the VMM alone, and is somebody else's child when this process has ended.
    func letLiveOn() { livesOn = true }

    deinit {
        if livesOn { return }
        process.signal(SIGKILL)
        _ = try? process.wait()
    }
}
