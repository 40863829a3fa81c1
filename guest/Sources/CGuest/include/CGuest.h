// What Swift's importer can't see of Linux and musl: variadic calls, macros, system calls without a wrapper; and the libraries that the agent links.
// Every symbol of ours starts with `guest_` or `GUEST_`. Nothing here decides anything: policy lives in Swift.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <termios.h>
#include <unistd.h>

#include <nettle/sha2.h>
#include <zlib.h>
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>
#include <zstd_errors.h>

// MARK: Variadic calls

static inline int guest_open(const char *path, int flags, mode_t mode) { return open(path, flags, mode); }

static inline int guest_fcntl(int fd, int command, int argument) { return fcntl(fd, command, argument); }

static inline int guest_ioctl(int fd, unsigned long request, void *argument) { return ioctl(fd, (int)request, argument); }

static inline int guest_prctl(int option, unsigned long argument) { return prctl(option, argument, 0UL, 0UL, 0UL); }

static inline int guest_errno(void) { return errno; }

// MARK: System calls that musl doesn't wrap

// fork(2) into new namespaces and, where `cgroup` is a directory's descriptor and not -1, into a control group (clone3(2), CLONE_INTO_CGROUP). Only for a process
// with one thread: musl's own bookkeeping is not told.
static inline pid_t guest_clone(uint64_t flags, int cgroup) {
    struct { uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup; } arguments = {
        .flags = flags | (cgroup < 0 ? 0 : 0x200000000ull), .exit_signal = SIGCHLD, .cgroup = cgroup < 0 ? 0 : (uint64_t)cgroup};
    return (pid_t)syscall(435, &arguments, sizeof arguments);
}

static inline int guest_pivot_root(const char *root, const char *old) { return (int)syscall(SYS_pivot_root, root, old); }

// OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE; MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS.
static inline int guest_copy_tree(const char *path) { return (int)syscall(428, AT_FDCWD, path, 1 | O_CLOEXEC | 0x8000); }
static inline int guest_attach_tree(int tree, const char *target) { return (int)syscall(429, tree, "", AT_FDCWD, target, 0x14); }

// mount_setattr(2) with MOUNT_ATTR_IDMAP.
static inline int guest_map_identities(int tree, int user_namespace) {
    struct { uint64_t set, clear, propagation, user_namespace; } attributes = {.set = 0x00100000, .user_namespace = (uint64_t)user_namespace};
    return (int)syscall(442, tree, "", 0x1000 /* AT_EMPTY_PATH */, &attributes, sizeof attributes);
}

static inline ssize_t guest_getdents(int fd, void *buffer, size_t count) { return syscall(SYS_getdents64, fd, buffer, count); }

static inline int guest_close_range(unsigned first) { return (int)syscall(436, first, ~0U, 0); }

static inline int guest_memory_file(void) { return (int)syscall(319, "swiftlet", 1 /* MFD_CLOEXEC */); }

// poll(2) for one descriptor that is to become readable; 0 after `milliseconds`, of which -1 are any number.
static inline int guest_wait_readable(int fd, int milliseconds) {
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    int result;
    do result = poll(&entry, 1, milliseconds); while (result < 0 && errno == EINTR);
    return result;
}

static inline uint64_t guest_memory_size(void) {
    struct sysinfo information;
    return sysinfo(&information) == 0 ? (uint64_t)information.totalram * information.mem_unit : 0;
}

static inline int guest_pidfd_open(pid_t pid) { return (int)syscall(434, pid, 0); }

// capset(2), version 3; then `ambient`, which lies within permitted and inheritable (PR_CAP_AMBIENT_RAISE).
static inline int guest_capset(uint64_t effective, uint64_t permitted, uint64_t inheritable, uint64_t ambient) {
    struct { uint32_t version; int pid; } header = {0x20080522, 0};
    struct { uint32_t effective, permitted, inheritable; } sets[2] = {
        {(uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable},
        {(uint32_t)(effective >> 32), (uint32_t)(permitted >> 32), (uint32_t)(inheritable >> 32)},
    };
    int result = (int)syscall(SYS_capset, &header, sets);
    for (unsigned long number = 0; !result && number < 64; number++)
        if (ambient >> number & 1) result = prctl(47, 2UL, number, 0UL, 0UL);
    return result;
}

// MARK: Programs from the host

// Installs a seccomp filter for this process and its children (seccomp(2)).
static inline int guest_install_filter(const void *instructions, size_t count) {
    struct { unsigned short count; const void *instructions; } program = {(unsigned short)count, instructions};
    return (int)syscall(SYS_seccomp, 1 /* SECCOMP_SET_MODE_FILTER */, 0, &program);
}

// Ends the process even where a filter refuses that.
static inline _Noreturn void guest_exit(int code) {
    syscall(SYS_exit_group, code);
    __builtin_trap();
}

// Loads an eBPF program that decides about devices, and attaches it to a control group (bpf(2)). It stays as long as the group does.
static inline int guest_attach_device_program(int cgroup, const void *instructions, size_t count) {
    struct { uint32_t type, count; uint64_t instructions, license; uint32_t log_level, log_size; uint64_t log; uint32_t version, flags; } load = {
        .type = 15 /* BPF_PROG_TYPE_CGROUP_DEVICE */, .count = (uint32_t)count, .instructions = (uint64_t)instructions, .license = (uint64_t)"Apache-2.0"};
    int program = (int)syscall(SYS_bpf, 5 /* BPF_PROG_LOAD */, &load, sizeof load);
    if (program < 0) return -1;
    struct { uint32_t target, program, type, flags; } attach = {(uint32_t)cgroup, (uint32_t)program, 6 /* BPF_CGROUP_DEVICE */, 0};
    int result = (int)syscall(SYS_bpf, 8 /* BPF_PROG_ATTACH */, &attach, sizeof attach);
    close(program);
    return result;
}

// MARK: epoll(7): its event is a packed structure with a union, which Swift handles only as unsafe

struct guest_event {
    uint64_t token;
    uint32_t events;
};

static inline int guest_epoll_add(int epoll, int fd, uint32_t events, uint64_t token) {
    struct epoll_event event = {.events = events, .data.u64 = token};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static inline int guest_epoll_remove(int epoll, int fd) { return epoll_ctl(epoll, EPOLL_CTL_DEL, fd, 0); }

static inline int guest_epoll_wait(int epoll, struct guest_event *found, int count, int timeout) {
    struct epoll_event events[16];
    int number = epoll_wait(epoll, events, count < 16 ? count : 16, timeout);
    for (int index = 0; index < number; index++) {
        found[index].token = events[index].data.u64;
        found[index].events = events[index].events;
    }
    return number;
}

// musl's own wrappers tell all threads, of which there are none: these are the bare calls.
static inline int guest_setgroups(size_t count, const gid_t *groups) { return (int)syscall(SYS_setgroups, count, groups); }
static inline int guest_setresgid(gid_t group) { return (int)syscall(SYS_setresgid, group, group, group); }
static inline int guest_setresuid(uid_t user) { return (int)syscall(SYS_setresuid, user, user, user); }
static inline int guest_setrlimit(unsigned resource, uint64_t soft, uint64_t hard) {
    uint64_t limit[2] = {soft, hard};
    return (int)syscall(SYS_setrlimit, resource, limit);
}

// The same for these, whose wrappers are ready for kernels and times that x86-64 doesn't have.
static inline int guest_stat(const char *path, struct stat *status, int flags) {
    return (int)syscall(SYS_newfstatat, AT_FDCWD, path, status, flags);
}
static inline int guest_set_time(int fd, const char *path, int64_t seconds, int64_t nanoseconds) {
    int64_t times[4] = {seconds, nanoseconds, seconds, nanoseconds};
    return (int)syscall(SYS_utimensat, fd, path, times, path ? AT_SYMLINK_NOFOLLOW : 0);
}

// MARK: Sockets

static inline int guest_interface_socket(void) { return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0); }

// Sends nothing more: the peer reads an end of file.
static inline int guest_end_writing(int fd) { return shutdown(fd, SHUT_WR); }

// A stream socket on its way to a port of the host (vsock(7), CID 2). With SOCK_NONBLOCK in `flags` it may still be connecting (EINPROGRESS).
// -1 when there is no socket at all.
static inline int guest_vsock_connect(uint32_t port, int flags, int *connecting) {
    struct { sa_family_t family; uint16_t reserved; uint32_t port, cid; uint8_t flags, zero[3]; } address = {40, 0, port, 2, 0, {0}};
    int fd = socket(40, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (fd < 0) return -1;
    *connecting = 0;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    if (errno == EINPROGRESS) {
        *connecting = 1;
        return fd;
    }
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

// A message with at most one descriptor (unix(7), SCM_RIGHTS); `descriptor` is -1 for none.
static inline ssize_t guest_send(int fd, const void *bytes, size_t count, int descriptor) {
    struct iovec vector = {(void *)bytes, count};
    union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control = {{0}};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    if (descriptor >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
    }
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

static inline ssize_t guest_receive(int fd, void *bytes, size_t count, int *descriptor) {
    struct iovec vector = {bytes, count};
    union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control;
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    *descriptor = -1;
    ssize_t received = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    if (received < 0) return received;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) memcpy(descriptor, CMSG_DATA(header), sizeof(int));
    return received;
}

// Brings a network interface up (netdevice(7)).
static inline int guest_interface_up(int fd, const char *name) {
    struct ifreq request = {0};
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    return ioctl(fd, SIOCSIFFLAGS, &request);
}

// MARK: Terminals

static inline int guest_set_window_size(int fd, unsigned short rows, unsigned short columns) {
    struct winsize size = {.ws_row = rows, .ws_col = columns};
    return ioctl(fd, TIOCSWINSZ, &size);
}

static inline int guest_unlock_terminal(int master) {
    int zero = 0;
    return ioctl(master, TIOCSPTLCK, &zero);
}

// The terminal's other end, opened without a path (ioctl_tty(2), TIOCGPTPEER).
static inline int guest_terminal_peer(int master, int flags) { return ioctl(master, TIOCGPTPEER, flags); }

static inline int guest_terminal_number(int master) {
    unsigned number = 0;
    return ioctl(master, TIOCGPTN, &number) == 0 ? (int)number : -1;
}

static inline int guest_make_controlling(int terminal) { return ioctl(terminal, TIOCSCTTY, 0); }

// MARK: Signals

// Every signal to its default and none blocked, as a program expects to start.
static inline void guest_reset_signals(void) {
    struct sigaction action = {.sa_handler = SIG_DFL};
    for (int number = 1; number < _NSIG; number++) sigaction(number, &action, 0);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, 0);
}

// A descriptor that becomes readable when a child ends; SIGPIPE is ignored.
static inline int guest_child_signal_descriptor(void) {
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, 0);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, 0);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

// MARK: Wait statuses

static inline int guest_exited(int status) { return WIFEXITED(status); }
static inline int guest_exit_code(int status) { return WEXITSTATUS(status); }
static inline int guest_exit_signal(int status) { return WTERMSIG(status); }

// MARK: Device numbers

static inline dev_t guest_device(unsigned major, unsigned minor) { return makedev(major, minor); }
static inline unsigned guest_device_major(dev_t device) { return major(device); }
static inline unsigned guest_device_minor(dev_t device) { return minor(device); }

// MARK: Libraries

static inline int guest_inflate_init(z_stream *stream) {
    // 15 bits of window; 16 more: gzip alone, with its header and checksum.
    return inflateInit2(stream, 15 + 16);
}

// Error numbers as zstd_errors.h has them.
static inline int guest_zstd_error(size_t result) { return (int)(0 - result); }
static const int GUEST_ZSTD_WINDOW_TOO_LARGE = ZSTD_error_frameParameter_windowTooLarge;
static const int GUEST_ZSTD_NO_MEMORY = ZSTD_error_memory_allocation;

// Lets SHA-256 use the processor's instructions for it, where it has them. Left out until needed: CPUID is a trip to the hypervisor each time.
void guest_use_sha_extensions(void);

static const int GUEST_O_DIRECT = 040000;
static const int GUEST_O_PATH = 010000000;
