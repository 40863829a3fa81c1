// What Swift's importer can't see of Linux: ioctl request macros, variadic calls, atomics on foreign memory, flexible array members.
// Every symbol starts with `clinux_` or `CLINUX_`. Nothing here decides anything: policy lives in Swift.
#pragma once

// No _GNU_SOURCE here: the toolchain's Glibc module is built without it, and the two must agree on every struct.
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/kvm.h>
#include <linux/nsfs.h>
#include <linux/openat2.h>
#include <linux/vhost.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <termios.h>
#include <unistd.h>

// MARK: Variadic calls

static inline int clinux_ioctl(int fd, unsigned long request, uintptr_t argument) {
    return ioctl(fd, request, argument);
}

static inline int clinux_ioctl_pointer(int fd, unsigned long request, void *argument) {
    return ioctl(fd, request, argument);
}

static inline int clinux_open(const char *path, int flags, mode_t mode) {
    return open(path, flags, mode);
}

static inline int clinux_openat(int directory, const char *path, int flags, mode_t mode) {
    return openat(directory, path, flags, mode);
}

static inline int clinux_openat2(int directory, const char *path, uint64_t flags, uint64_t resolve) {
    struct open_how how = {.flags = flags, .mode = 0, .resolve = resolve};
    return (int)syscall(SYS_openat2, directory, path, &how, sizeof how);
}

static inline int clinux_fcntl(int fd, int command, int argument) {
    return fcntl(fd, command, argument);
}

static inline void clinux_set_thread_name(const char *name) { prctl(PR_SET_NAME, name); }

static inline int clinux_errno(void) { return errno; }

extern char **environ;

static inline char **clinux_environment(void) { return environ; }

// MARK: Atomics on memory shared with a guest or the kernel (the compiler must not tear, reorder or re-read these)

static inline uint16_t clinux_load_acquire16(const void *address) {
    return __atomic_load_n((const uint16_t *)address, __ATOMIC_ACQUIRE);
}

static inline void clinux_store_release16(void *address, uint16_t value) {
    __atomic_store_n((uint16_t *)address, value, __ATOMIC_RELEASE);
}

static inline void clinux_full_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

static inline void clinux_store_release8(void *address, uint8_t value) {
    __atomic_store_n((uint8_t *)address, value, __ATOMIC_RELEASE);
}

/// Loads before it are not repeated after it: a value copied out of shared memory stays the value that was checked.
static inline void clinux_compiler_barrier(void) { __asm__ volatile("" ::: "memory"); }

// MARK: Calls that glibc declares for _GNU_SOURCE only, and socket calls that must neither block nor raise SIGPIPE

static inline int clinux_pipe(int ends[2]) { return (int)syscall(SYS_pipe2, ends, O_CLOEXEC); }

static inline int clinux_fallocate(int fd, int mode, off_t offset, off_t length) {
    return (int)syscall(SYS_fallocate, fd, mode, offset, length);
}

static inline int clinux_accept(int listener) {
    return (int)syscall(SYS_accept4, listener, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

static inline ssize_t clinux_send_vectors(int socket, const struct iovec *vectors, size_t count) {
    struct msghdr message = {.msg_iov = (struct iovec *)vectors, .msg_iovlen = count};
    return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static inline ssize_t clinux_receive_vectors(int socket, const struct iovec *vectors, size_t count) {
    struct msghdr message = {.msg_iov = (struct iovec *)vectors, .msg_iovlen = count};
    return recvmsg(socket, &message, MSG_DONTWAIT);
}

// MARK: Calls of headers that the toolchain's Glibc module leaves out

static inline int clinux_timer_create(void) { return timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK); }

/// One expiration at so many nanoseconds of the clock; 0: none.
static inline int clinux_timer_set(int fd, uint64_t nanoseconds) {
    struct itimerspec when = {.it_value = {.tv_sec = (time_t)(nanoseconds / 1000000000), .tv_nsec = (long)(nanoseconds % 1000000000)}};
    return timerfd_settime(fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/// How many processors the calling thread may run on; 0 where the kernel doesn't tell.
static inline int clinux_processor_count(void) {
    unsigned long set[1024] = {0};
    long bytes = syscall(SYS_sched_getaffinity, 0L, sizeof set, set);
    int count = 0;
    for (long word = 0; word < bytes / (long)sizeof set[0]; word++) count += __builtin_popcountl(set[word]);
    return count;
}

/// SCHED_BATCH for the calling thread: when it wakes up, it doesn't take the processor from the one who woke it.
static inline int clinux_schedule_as_batch(void) {
    struct sched_param none = {0};
    return sched_setscheduler(0, 3, &none);
}

/// preadv2(2) with RWF_NOWAIT: what is not in memory is asked of the disk, but not waited for (EAGAIN).
static inline ssize_t clinux_preadv_no_wait(int fd, const struct iovec *vectors, int count, off_t offset) {
    return syscall(SYS_preadv2, (long)fd, vectors, (long)count, offset, 0L, 8L);
}

// MARK: Macros

#define CLINUX_CONSTANT(name, value) static const unsigned long CLINUX_##name = (value)

CLINUX_CONSTANT(KVM_GET_API_VERSION, KVM_GET_API_VERSION);
CLINUX_CONSTANT(KVM_CHECK_EXTENSION, KVM_CHECK_EXTENSION);
CLINUX_CONSTANT(KVM_CREATE_VM, KVM_CREATE_VM);
CLINUX_CONSTANT(KVM_GET_VCPU_MMAP_SIZE, KVM_GET_VCPU_MMAP_SIZE);
CLINUX_CONSTANT(KVM_GET_SUPPORTED_CPUID, KVM_GET_SUPPORTED_CPUID);
CLINUX_CONSTANT(KVM_GET_MSR_INDEX_LIST, KVM_GET_MSR_INDEX_LIST);
CLINUX_CONSTANT(KVM_CREATE_VCPU, KVM_CREATE_VCPU);
CLINUX_CONSTANT(KVM_SET_USER_MEMORY_REGION, KVM_SET_USER_MEMORY_REGION);
CLINUX_CONSTANT(KVM_SET_TSS_ADDR, KVM_SET_TSS_ADDR);
CLINUX_CONSTANT(KVM_SET_IDENTITY_MAP_ADDR, KVM_SET_IDENTITY_MAP_ADDR);
CLINUX_CONSTANT(KVM_CREATE_IRQCHIP, KVM_CREATE_IRQCHIP);
CLINUX_CONSTANT(KVM_CREATE_PIT2, KVM_CREATE_PIT2);
CLINUX_CONSTANT(KVM_IRQ_LINE, KVM_IRQ_LINE);
CLINUX_CONSTANT(KVM_IRQFD, KVM_IRQFD);
CLINUX_CONSTANT(KVM_IOEVENTFD, KVM_IOEVENTFD);
CLINUX_CONSTANT(KVM_RUN, KVM_RUN);
CLINUX_CONSTANT(KVM_GET_REGS, KVM_GET_REGS);
CLINUX_CONSTANT(KVM_SET_REGS, KVM_SET_REGS);
CLINUX_CONSTANT(KVM_GET_SREGS, KVM_GET_SREGS);
CLINUX_CONSTANT(KVM_SET_SREGS, KVM_SET_SREGS);
CLINUX_CONSTANT(KVM_GET_FPU, KVM_GET_FPU);
CLINUX_CONSTANT(KVM_SET_FPU, KVM_SET_FPU);
CLINUX_CONSTANT(KVM_GET_MSRS, KVM_GET_MSRS);
CLINUX_CONSTANT(KVM_SET_MSRS, KVM_SET_MSRS);
CLINUX_CONSTANT(KVM_SET_CPUID2, KVM_SET_CPUID2);
CLINUX_CONSTANT(KVM_SET_XCRS, KVM_SET_XCRS);
CLINUX_CONSTANT(KVM_GET_LAPIC, KVM_GET_LAPIC);
CLINUX_CONSTANT(KVM_SET_LAPIC, KVM_SET_LAPIC);
CLINUX_CONSTANT(KVM_GET_MP_STATE, KVM_GET_MP_STATE);
CLINUX_CONSTANT(KVM_SET_MP_STATE, KVM_SET_MP_STATE);
CLINUX_CONSTANT(KVM_ENABLE_CAP, KVM_ENABLE_CAP);
CLINUX_CONSTANT(KVM_GET_TSC_KHZ, KVM_GET_TSC_KHZ);
CLINUX_CONSTANT(KVM_TRANSLATE, KVM_TRANSLATE);
CLINUX_CONSTANT(TIOCGWINSZ, TIOCGWINSZ);
CLINUX_CONSTANT(TIOCSWINSZ, TIOCSWINSZ);
CLINUX_CONSTANT(TIOCSCTTY, TIOCSCTTY);
CLINUX_CONSTANT(TIOCSPTLCK, TIOCSPTLCK);
CLINUX_CONSTANT(TIOCGPTN, TIOCGPTN);
CLINUX_CONSTANT(TIOCGPTPEER, TIOCGPTPEER);
// ioctl_ns(2), clone(2).
CLINUX_CONSTANT(NS_GET_NSTYPE, NS_GET_NSTYPE);
static const int32_t CLINUX_CLONE_NEWNET = 0x40000000;
CLINUX_CONSTANT(TCGETS, TCGETS);
CLINUX_CONSTANT(TCSETS, TCSETS);
CLINUX_CONSTANT(TCSETSW, TCSETSW);
CLINUX_CONSTANT(BLKGETSIZE64, 0x80081272UL);

static const int CLINUX_FALLOC_FL_KEEP_SIZE = 0x01;
static const int CLINUX_FALLOC_FL_PUNCH_HOLE = 0x02;
static const int CLINUX_FALLOC_FL_ZERO_RANGE = 0x10;

static const uintptr_t CLINUX_MAP_FAILED = (uintptr_t)MAP_FAILED;

// MARK: Descriptors on their way to another process

enum { clinux_most_descriptors = 253 };  // SCM_MAX_FD

// The alignment is cmsghdr's.
union clinux_ancillary {
    struct cmsghdr header;
    char space[CMSG_SPACE(clinux_most_descriptors * sizeof(int))];
};

/// Sends `word` and copies of `descriptors`, at most 253. Returns as sendmsg(2).
static inline int clinux_send_descriptors(int socket, uint32_t word, const int *descriptors, size_t count) {
    if (count > clinux_most_descriptors) {
        errno = EINVAL;
        return -1;
    }
    size_t size = count * sizeof(int);
    struct iovec data = {.iov_base = &word, .iov_len = sizeof word};
    union clinux_ancillary control = {.header = {.cmsg_len = CMSG_LEN(size), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    memcpy(CMSG_DATA(&control.header), descriptors, size);
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = CMSG_SPACE(size)};
    return (int)sendmsg(socket, &message, MSG_NOSIGNAL);
}

/// Receives what one call of the former sent; returns how many descriptors, which are closed on execve(2). ECONNRESET where the other end is closed, EMSGSIZE where
/// this process may not have as many.
static inline ssize_t clinux_receive_descriptors(int socket, uint32_t *word, int *descriptors, size_t capacity) {
    struct iovec data = {.iov_base = word, .iov_len = sizeof *word};
    union clinux_ancillary control;
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space};
    ssize_t size = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (size < 0) return -1;
    const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    int holds_descriptors = header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS;
    size_t count = holds_descriptors ? (header->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;
    if (size != sizeof *word || (message.msg_flags & MSG_CTRUNC) || count > capacity) {
        errno = size == 0 ? ECONNRESET : EMSGSIZE;
        return -1;
    }
    if (count > 0) memcpy(descriptors, CMSG_DATA(header), count * sizeof(int));
    return (ssize_t)count;
}

/// pidfd_open(2), which closes on execve(2), and pidfd_send_signal(2).
static inline int clinux_pidfd_open(pid_t process) { return (int)syscall(SYS_pidfd_open, process, 0); }
static inline int clinux_pidfd_send_signal(int process, int signal) { return (int)syscall(SYS_pidfd_send_signal, process, signal, NULL, 0); }

/// The user at the other end of a Unix socket, as of its connect(2) or socketpair(2): struct ucred is process, user, group.
static inline int clinux_peer_user(int socket, uint32_t *user) {
    uint32_t identity[3];
    socklen_t size = sizeof identity;
    int result = getsockopt(socket, SOL_SOCKET, SO_PEERCRED, identity, &size);
    if (result == 0) *user = identity[1];
    return result;
}

/// Sends a packet, and with it a copy of `descriptor` unless that is negative; waits for room. Returns as sendmsg(2).
static inline ssize_t clinux_send_packet(int socket, const void *bytes, size_t count, int descriptor) {
    struct iovec data = {.iov_base = (void *)bytes, .iov_len = count};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
    if (descriptor >= 0) {
        memcpy(CMSG_DATA(&control.header), &descriptor, sizeof(int));
        message.msg_control = control.space;
        message.msg_controllen = sizeof control.space;
    }
    return sendmsg(socket, &message, MSG_NOSIGNAL);
}

/// Receives a packet; 0 where the other end is closed. `descriptor` gets what came with it, closed on execve(2), or -1: also where this process may not have one more.
/// EMSGSIZE for a packet of more than `capacity` bytes.
static inline ssize_t clinux_receive_packet(int socket, void *bytes, size_t capacity, int *descriptor) {
    struct iovec data = {.iov_base = bytes, .iov_len = capacity};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space};
    *descriptor = -1;
    ssize_t size = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (size < 0) return -1;
    const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(descriptor, CMSG_DATA(header), sizeof(int));
    if (message.msg_flags & MSG_TRUNC) {
        if (*descriptor >= 0) close(*descriptor);
        *descriptor = -1;
        errno = EMSGSIZE;
        return -1;
    }
    return size;
}

static inline ssize_t clinux_copy_file_range(int from, int64_t offset, int to, int64_t target, size_t count) {
    return syscall(SYS_copy_file_range, from, &offset, to, &target, count, 0);
}

// MARK: Files of other users

/// User and group of new files, and of what is looked up (setfsuid(2)). Capabilities over files that are permitted stay in effect: the kernel takes them with root's identity.
static inline int clinux_act_on_files_as(uint32_t user, uint32_t group) {
    syscall(SYS_setfsgid, group);
    syscall(SYS_setfsuid, user);
    // They return the former ids, whatever happens; only asking again tells (setfsuid(2), BUGS).
    if ((uint32_t)syscall(SYS_setfsgid, (uint32_t)-1) != group || (uint32_t)syscall(SYS_setfsuid, (uint32_t)-1) != user) {
        errno = EPERM;
        return -1;
    }
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[2];
    if (syscall(SYS_capget, &header, sets) != 0) return -1;
    for (int half = 0; half < 2; half++) sets[half].effective = sets[half].permitted;
    return (int)syscall(SYS_capset, &header, sets);
}

static inline int clinux_renameat2(int from, const char *name, int to, const char *new_name, unsigned flags) {
    return (int)syscall(SYS_renameat2, from, name, to, new_name, flags);
}

static inline long clinux_getdents(int fd, void *buffer, size_t count) { return syscall(SYS_getdents64, fd, buffer, count); }

static inline int clinux_syncfs(int fd) { return (int)syscall(SYS_syncfs, fd); }

// MARK: memfd

static inline int clinux_memfd_create(const char *name, unsigned flags) {
    return (int)syscall(SYS_memfd_create, name, flags);
}

static const unsigned CLINUX_MFD_CLOEXEC = 1;
static const int CLINUX_O_TMPFILE = 020000000 | O_DIRECTORY;
static const int CLINUX_O_PATH = 010000000;
static const int CLINUX_AT_EMPTY_PATH = 0x1000;
static const int CLINUX_O_DIRECT = 040000;
static const uint64_t CLINUX_RESOLVE_NO_MAGICLINKS = RESOLVE_NO_MAGICLINKS;
static const uint64_t CLINUX_RESOLVE_BENEATH = RESOLVE_BENEATH;
