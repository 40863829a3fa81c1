// What each kind of thread of a running VMM, and its file server (docs/adr/0016), may ask the kernel for (docs/adr/0013). Everything else is a violation, which ends the machine.
//
// When the filters are installed, every thread is there, and every file open but those of the guest's trees: no rule maps or executes a file, makes a socket, a process or a thread,
// or sends a signal, and none but the file server's opens one.
import CLinux
import Glibc
import Jail

extension ThreadKind {
    var rules: [Rule] {
        switch self {
        case .main: Self.events + Self.commands + Self.sockets + Self.terminal + Self.maps + Self.memory + Self.everybody
        case .vcpu: Self.processor + Self.sockets + Self.memory + Self.everybody
        case .stream: Self.relay + Self.memory + Self.everybody
        case .block: Self.worker + Self.disks + Self.memory + Self.everybody
        case .files: Self.worker + Self.openFiles + Self.memory + Self.everybody
        case .fileServer: Self.names + Self.memory + Self.everybody
        }
    }

    // MARK: What all threads need

    private static let everybody: [Rule] = [
        .allow("futex", for: "locks of Swift and of the C library"),
        .allow("gettid", for: "a Swift Mutex names its owner by its thread"),
        .allow("write", for: "eventfds, standard streams, sentences about failures"),
        .allow("clock_gettime", for: "the timeline and deadlines, where the vDSO can't answer by itself"),
        .allow("exit_group", for: "the end of the machine"),
        .allow("exit", for: "the end of a thread"),
        .allow("rt_sigprocmask", for: "the C library, when a thread ends"),
        .allow("restart_syscall", for: "the kernel, after a stop and a continuation in a wait with a deadline"),
    ]

    /// The C library's allocator. Nothing executable, nothing shared, no file.
    private static let memory: [Rule] = [
        .allow(
            "mmap", .bits(2, mask: UInt64(PROT_EXEC), are: 0),
            .bits(3, mask: 0xFFFF_FFFF & ~UInt64(MAP_NORESERVE), are: UInt64(MAP_PRIVATE | MAP_ANONYMOUS)),
            for: "large allocations, and an arena for each thread"),
        .allow("munmap", for: "the same"),
        .allow("mremap", .argument(3, is: 1 /* MREMAP_MAYMOVE */), for: "large allocations that grow"),
        .allow("mprotect", .bits(2, mask: UInt64(PROT_EXEC), are: 0), for: "an arena that grows"),
        .allow("madvise", .argument(2, is: UInt64(MADV_DONTNEED)), for: "memory given back, and the stack of a thread that ends"),
        .allow("brk", for: "small allocations"),
    ]

    // MARK: What some need

    private static let events: [Rule] = [
        .allow("epoll_wait", for: "the event loop"),
        .allow("epoll_pwait", for: "the same, by another name in some C libraries"),
        .allow("read", for: "eventfds, signals, and the timers of rate limits"),
        .allow("epoll_ctl", for: "connections that come and go"),
    ]

    /// The connections of the socket device are open before the guest starts; a reset by the guest, on a vCPU's thread, closes them.
    private static let sockets: [Rule] = [
        .allow("recvmsg", for: "what the host sends to the guest"),
        .allow("sendmsg", for: "what the guest sends to the host"),
        .allow("recvfrom", for: "the agent's messages"),
        .allow("sendto", for: "messages to the agent"),
        .allow("read", for: "the eventfds of a device that starts or is reset"),
        .allow("shutdown", for: "the end of a stream"),
        .allow("close", for: "the end of a connection"),
        .allow("epoll_ctl", for: "connections that come and go"),
        .allow("epoll_wait", for: "the socket device's own set"),
        .allow("getrandom", for: "the entropy device, and the seeds of Swift's hash tables"),
    ]

    private static let commands: [Rule] = [
        .allow("accept4", for: "the OCI commands, which connect to a socket that is there from the start"),
        .allow("fcntl", .bits(1, mask: 0xFFFF_FFFF, are: UInt64(F_DUPFD_CLOEXEC)), for: "streams of processes that the commands execute"),
        .allow("getsockopt", .argument(1, is: UInt64(SOL_SOCKET)), .argument(2, is: UInt64(SO_PEERCRED)), for: "whose commands they are"),
    ]

    private static let terminal: [Rule] = [
        .request(CLINUX_TIOCGWINSZ, for: "the size of the user's terminal, when it changes"),
        .request(CLINUX_TCSETS, for: "raw mode"),
        .request(CLINUX_TCSETSW, for: "the user's own mode, when the container ends"),
        .request(CLINUX_TCGETS, for: "tcsetattr(3), which looks whether it was obeyed"),
        .allow("clock_nanosleep", for: "waiting for readers after the machine's end"),
        .allow("poll", for: "the same"),
    ]

    private static let maps: [Rule] = [
        .allow("pwrite64", for: "the maps of unpacked images"),
        .allow("fstat", for: "the end of a file that grows"),
    ]

    private static let disks: [Rule] = [
        .allow("preadv2", .bits(5, mask: 0xFFFF_FFFF, are: 8 /* RWF_NOWAIT */), for: "reading what is in the host's memory into the guest's"),
        .allow("preadv", for: "reading the rest from a disk"),
        .allow("pwritev", for: "writing a disk from the guest's memory"),
        .allow("pwrite64", for: "zeros, where the host's file system has no call for them"),
        .allow("fdatasync", for: "flushes"),
        .allow("fallocate", for: "blocks that the guest discards"),
    ]

    private static let openFiles: [Rule] = [
        .allow("sendmsg", for: "questions to the file server"),
        .allow("recvmsg", for: "its answers, and what it has opened"),
        .allow("preadv", for: "reading a file into the guest's memory"),
        .allow("pwritev", for: "writing one from there"),
        .allow("fsync", for: "what the guest asks for by the same name"),
        .allow("fdatasync", for: "the same"),
        .allow("fallocate", for: "the same"),
        .allow("lseek", for: "data and holes"),
        .allow("copy_file_range", for: "what the guest asks for by the same name"),
    ]

    /// Each takes descriptors below the guest's trees, or names of one component below them. The guest's own words for what it wants.
    private static let names: [Rule] = [
        .allow("recvmsg", for: "requests"),
        .allow("sendmsg", for: "answers"),
        .allow("openat", for: "looking up, opening and making files"),
        .allow("close", for: "files that the guest has forgotten"),
        .allow("newfstatat", for: "attributes"),
        .allow("fstat", for: "the same, by another name in some C libraries"),
        .allow("fcntl", .bits(1, mask: 0xFFFF_FFFF, are: UInt64(F_DUPFD_CLOEXEC)), for: "a tree's root that is looked up"),
        .allow("mknodat", for: "making devices, pipes and sockets"),
        .allow("mkdirat", for: "making directories"),
        .allow("symlinkat", for: "making symbolic links"),
        .allow("linkat", for: "making hard links"),
        .allow("unlinkat", for: "removing"),
        .allow("renameat2", for: "renaming"),
        .allow("readlinkat", for: "symbolic links"),
        .allow("getdents64", for: "directories"),
        .allow("lseek", for: "directories that are read on"),
        .allow("fsync", for: "directories"),
        .allow("syncfs", for: "file systems"),
        .allow("fstatfs", for: "file systems' sizes"),
        .allow("truncate", for: "files' sizes"),
        .allow("fchownat", for: "owners"),
        .allow("chmod", for: "modes"),
        .allow("utimensat", for: "times"),
        .allow("setxattr", for: "extended attributes"),
        .allow("getxattr", for: "the same"),
        .allow("listxattr", for: "the same"),
        .allow("removexattr", for: "the same"),
        .allow("setfsuid", for: "files of other users"),
        .allow("setfsgid", for: "the same"),
        .allow("capget", for: "the same"),
        .allow("capset", for: "the same"),
        .allow("getrandom", for: "the seeds of Swift's hash tables"),
    ]

    private static let worker: [Rule] = [
        .allow("epoll_wait", for: "queues and timers"),
        .allow("epoll_pwait", for: "the same, by another name in some C libraries"),
        .allow("read", for: "eventfds, the timers of rate limits, and the start"),
        .allow("poll", for: "the start"),
        .allow("close", for: "the gate that it waited at, where it is the last to know it"),
        .allow("timerfd_settime", for: "rate limits"),
    ]

    private static let processor: [Rule] = [
        .request(CLINUX_KVM_RUN, for: "the guest"),
        .allow("poll", for: "the start"),
        .request(CLINUX_KVM_GET_REGS, for: "the report of a fault"),
        .request(CLINUX_KVM_GET_SREGS, for: "the same"),
        .request(CLINUX_KVM_TRANSLATE, for: "the same: the instruction's bytes"),
        .allow("timerfd_settime", for: "a disk with rate limits that the guest resets"),
    ]

    private static let relay: [Rule] = [
        .allow("read", for: "what is relayed, and the start"),
        .allow("poll", for: "the start"),
        .allow("shutdown", for: "the end of a stream"),
        .allow("close", for: "the relay's own eventfd, when nobody waits for it"),
    ]
}
