// The profile of every container that asks for no other: what Docker's default profile allows and refuses, group by group with the reason.
//
// It is a list of what is allowed; everything else fails with EPERM, so that a program notices and goes on. Left out on purpose, besides what capabilities
// decide below: io_uring (a second way to most system calls, with a history of kernel bugs), add_key, keyctl and request_key (keyrings belong to no namespace),
// userfaultfd (makes races in the kernel easy to win), kexec, swapon and swapoff, nfsservctl, and what is obsolete (uselib, ustat, sysfs, _sysctl, vm86).

extension SeccompProfile {
    public static let standard = SeccompProfile(
        defaultAction: .error(1 /* EPERM */), rules: everyone + conditional + byCapability)

    /// What any program may do to itself, its files and its children.
    private static let everyone = [
        allow(
            // Memory of the process itself.
            """
            brk madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap mmap2 mprotect mremap mseal msync munlock
            munlockall munmap pkey_alloc pkey_free pkey_mprotect process_mrelease remap_file_pages
            """),
        allow(
            // Its life: making, waiting, ending, its own attributes. clone has a rule of its own.
            """
            arch_prctl capget capset execve execveat exit exit_group fork get_robust_list get_thread_area getcpu getpgid getpgrp getpid getppid
            getpriority getrusage getsid gettid modify_ldt pause pidfd_open pidfd_send_signal prctl prlimit64 restart_syscall rseq set_robust_list set_thread_area
            set_tid_address setpgid setpriority setrlimit setsid getrlimit ugetrlimit times umask uname vfork wait4 waitid waitpid sysinfo
            """),
        allow(
            // Tracing and reading of processes that it may trace anyway: since Linux 4.8 tracers can't get around filters.
            "ptrace process_vm_readv process_vm_writev"),
        allow(
            // Who it is. What it can become, capabilities decide.
            """
            getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid getresgid32 getresuid getresuid32 getuid getuid32 setfsgid
            setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid
            setreuid32 setuid setuid32
            """),
        allow(
            // Files and directories, by name and by descriptor. mknod needs a capability, and opening what it made is the device program's affair.
            """
            access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64 fadvise64_64 fallocate
            fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fremovexattr fsetxattr fstat
            fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd getdents getdents64 getxattr inotify_add_watch inotify_init
            inotify_init1 inotify_rm_watch ioctl lchown lchown32 lgetxattr link linkat listxattr llistxattr _llseek lremovexattr lseek lsetxattr lstat lstat64 mkdir
            mkdirat mknod mknodat name_to_handle_at newfstatat open openat openat2 pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead
            readlink readlinkat readv removexattr rename renameat renameat2 rmdir sendfile sendfile64 setxattr splice stat stat64 statfs statfs64 statx symlink
            symlinkat sync sync_file_range syncfs tee truncate truncate64 unlink unlinkat utime utimensat utimensat_time64 utimes vmsplice write writev
            """),
        allow(
            // Waiting for many descriptors, and asynchronous input and output of the old kind.
            """
            epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 io_cancel io_destroy
            io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit ioprio_get ioprio_set _newselect poll ppoll ppoll_time64 pselect6 pselect6_time64
            select signalfd signalfd4
            """),
        allow(
            // Signals.
            """
            kill rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo
            sigaltstack sigprocmask sigreturn tgkill tkill
            """),
        allow(
            // Sockets once they are made; `socket` has a rule of its own. socketcall is how 32-bit programs call all of these.
            """
            accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto
            setsockopt shutdown socketcall socketpair
            """),
        allow(
            // Talking to other processes of the container: its IPC namespace is its own.
            """
            futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64
            mq_timedsend mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget
            """),
        allow(
            // Clocks and timers. adjtimex and clock_adjtime read; setting needs CAP_SYS_TIME.
            """
            adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep
            clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64
            timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64
            """),
        allow(
            // Scheduling of its own threads.
            """
            sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval
            sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield
            """),
        allow(
            // Confining itself further, random numbers, counters of page-cache use.
            "cachestat getrandom landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp"),
    ]

    /// AF_VSOCK of socket(2): it leads out of the network namespace, here to the ports of the agent's own connections.
    private static let vsock: UInt64 = 40
    /// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET of clone(2).
    private static let newNamespaces: UInt64 = 0x7E02_0000

    /// What depends on arguments.
    private static let conditional =
        // The kernel looks at 32 of the argument's 64 bits, so a comparison of all of them could be passed by. Every family but one differs from it in one of
        // six bits, and no family needs more.
        (0..<6).map { bit in
            SeccompRule(["socket"], .allow, arguments: [SeccompArgument(index: 0, .masked(1 << bit), ~vsock & 1 << bit)])
        }
        + [
            // New namespaces, above all of users, are the way to most privilege escalations of the kernel's.
            SeccompRule(
                ["clone"], .allow, arguments: [SeccompArgument(index: 0, .masked(newNamespaces), 0)], excludes: CapabilitySet(known: ["SYS_ADMIN"])),
            // Its flags are behind a pointer, out of a filter's sight: ENOSYS makes C libraries fall back to clone.
            SeccompRule(["clone3"], .error(38), excludes: CapabilitySet(known: ["SYS_ADMIN"])),
        ]
        // Linux, Linux with 32-bit addresses, UNAME26, both, and the question what it is.
        + [0x0, 0x8, 0x20000, 0x20008, 0xFFFF_FFFF].map { persona in
            SeccompRule(["personality"], .allow, arguments: [SeccompArgument(index: 0, .equal, persona)])
        }

    /// Who has the capability to do a thing may call what does it.
    private static let byCapability = [
        allow("open_by_handle_at", for: "DAC_READ_SEARCH"),
        allow(
            """
            bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount open_tree perf_event_open quotactl
            quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare
            """, for: "SYS_ADMIN"),
        allow("reboot", for: "SYS_BOOT"),
        allow("chroot", for: "SYS_CHROOT"),
        allow("delete_module finit_module init_module", for: "SYS_MODULE"),
        allow("acct", for: "SYS_PACCT"),
        allow("kcmp pidfd_getfd process_madvise", for: "SYS_PTRACE"),
        allow("ioperm iopl", for: "SYS_RAWIO"),
        allow("clock_settime clock_settime64 settimeofday stime", for: "SYS_TIME"),
        allow("vhangup", for: "SYS_TTY_CONFIG"),
        allow("get_mempolicy mbind set_mempolicy set_mempolicy_home_node", for: "SYS_NICE"),
        allow("syslog", for: "SYSLOG"),
        allow("bpf", for: "BPF"),
        allow("perf_event_open", for: "PERFMON"),
    ]

    private static func allow(_ names: String, for capability: String? = nil) -> SeccompRule {
        let words = names.split { $0 == " " || $0 == "\n" }.map(String.init)
        return SeccompRule(words, .allow, includes: CapabilitySet(known: capability.map { [$0] } ?? []))
    }
}
