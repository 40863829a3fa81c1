#define _GNU_SOURCE
#include "CJail.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <linux/securebits.h>
#include <sched.h>
#include <limits.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

// MARK: Namespaces

const uint64_t cjail_new_processes = CLONE_NEWPID;
const uint64_t cjail_new_user = CLONE_NEWUSER;

int cjail_leave_namespaces(int network) {
    if (network >= 0 && setns(network, CLONE_NEWNET) < 0) return -1;
    return unshare(CLONE_NEWNS | (network < 0 ? CLONE_NEWNET : 0) | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP);
}

pid_t cjail_fork(uint64_t flags, int cgroup, int *pidfd) {
    struct clone_args arguments = {
        .flags = flags | CLONE_VFORK | CLONE_PIDFD,
        .pidfd = (uintptr_t)pidfd,
        .exit_signal = SIGCHLD,
    };
    if (cgroup >= 0) {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = (uint64_t)cgroup;
    }
    return (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
}

int cjail_close_on_exec_from(unsigned first) {
    enum { cloexec = 4 };  // CLOSE_RANGE_CLOEXEC
    return (int)syscall(SYS_close_range, first, ~0U, cloexec);
}

int cjail_pivot_root(const char *root, const char *old) { return (int)syscall(SYS_pivot_root, root, old); }

int cjail_become(uid_t user, gid_t group) {
    if (syscall(SYS_setgroups, 0, NULL) < 0) return -1;
    if (syscall(SYS_setresgid, group, group, group) < 0) return -1;
    return (int)syscall(SYS_setresuid, user, user, user);
}

int cjail_keep_capabilities(void) { return prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0); }

int cjail_forbid_privileges(void) { return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }

int cjail_forbid_dumps(void) { return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }

int cjail_die_with_parent(void) { return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); }

int cjail_outlive_parent(void) { return prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0); }

int cjail_signal(int pidfd, int signal) { return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0); }

// MARK: Mounts without a place

int cjail_copy_tree(const char *path) {
    return (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW);
}

int cjail_restrict_tree(int tree, int read_only) {
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC};
    if (read_only) attributes.attr_set |= MOUNT_ATTR_RDONLY;
    return (int)syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes);
}

int cjail_open_own_descriptors(void) {
    int context = (int)syscall(SYS_fsopen, "proc", FSOPEN_CLOEXEC);
    if (context < 0) return -1;
    int tree = -1;
    if (syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "subset", "pid", 0) == 0 && syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        tree = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    int error = errno;
    close(context);
    errno = error;
    if (tree < 0) return -1;
    int directory = openat(tree, "self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    error = errno;
    close(tree);
    errno = error;
    return directory;
}

int cjail_lock_secure_bits(void) {
    return prctl(
        PR_SET_SECUREBITS,
        SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED
            | SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED,
        0, 0, 0);
}

// MARK: Landlock

int cjail_landlock_version(void) { return (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION); }

int cjail_landlock_restrict(int version) {
    // As of version 6 (Linux 6.12): a longer structure than the kernel knows is taken if the rest is zero.
    struct {
        uint64_t files;
        uint64_t network;
        uint64_t scope;
    } handled = {0};
    // 13 kinds of access at first, REFER, TRUNCATE (3), and ioctl on devices (5).
    handled.files = (1ULL << (version >= 5 ? 16 : version >= 3 ? 15 : version == 2 ? 14 : 13)) - 1;
    if (version >= 4) handled.network = 3;
    if (version >= 6) handled.scope = 3;
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0);
    if (ruleset < 0) return -1;
    int result = (int)syscall(SYS_landlock_restrict_self, ruleset, 0);
    close(ruleset);
    return result;
}

// MARK: The C library

int cjail_keep_heaps(void) { return mallopt(M_TRIM_THRESHOLD, INT_MAX) ? 0 : -1; }

// MARK: seccomp

static __thread const char *thread_kind = "unknown";
static const char *call_names;
static size_t call_names_size;
static int violation_status;

int cjail_install_filter(const struct cjail_instruction *instructions, uint16_t count, const char *kind) {
    _Static_assert(sizeof(struct cjail_instruction) == sizeof(struct sock_filter), "an instruction's layout");
    struct sock_fprog program = {.len = count, .filter = (struct sock_filter *)instructions};
    // Before the filter is there: afterwards nothing but what it allows is possible.
    thread_kind = kind;
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

struct line {
    char text[320];
    size_t count;
};

static void add(struct line *line, const char *text) {
    while (*text && line->count < sizeof line->text) line->text[line->count++] = *text++;
}

static void add_number(struct line *line, uint64_t number, unsigned base) {
    char digits[20];
    size_t count = 0;
    do {
        digits[count++] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number > 0);
    while (count > 0 && line->count < sizeof line->text) line->text[line->count++] = digits[--count];
}

static const char *name_of(int call) {
    const char *name = call_names, *end = call_names + call_names_size;
    for (int number = 0; name < end; number++) {
        if (number == call) return *name ? name : "unknown";
        const char *terminator = memchr(name, 0, (size_t)(end - name));
        if (!terminator) break;
        name = terminator + 1;
    }
    return "unknown";
}

// write(2) and exit_group(2) are allowed to every thread; nothing else is used here.
static void report_violation(int signal, siginfo_t *information, void *context) {
    (void)signal;
    (void)context;
    struct line line = {.count = 0};
    add(&line, "swiftlet: thread '");
    add(&line, thread_kind);
    add(&line, "' of the VMM made the system call ");
    add(&line, name_of(information->si_syscall));
    add(&line, " (");
    add_number(&line, (uint64_t)information->si_syscall, 10);
    add(&line, ") at 0x");
    add_number(&line, (uintptr_t)information->si_call_addr, 16);
    add(&line, ", which its seccomp filter forbids: the machine was stopped: the guest has taken over the VMM, or this is a fault of Swiftlet\n");
    (void)!write(STDERR_FILENO, line.text, line.count);
    syscall(SYS_exit_group, violation_status);
}

void cjail_report_violations(const char *names, size_t size, int status) {
    call_names = names;
    call_names_size = size;
    violation_status = status;
    struct sigaction action = {.sa_sigaction = report_violation, .sa_flags = SA_SIGINFO};
    // Nothing may interrupt the report.
    sigfillset(&action.sa_mask);
    sigaction(SIGSYS, &action, NULL);
}
