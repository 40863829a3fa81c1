#define _GNU_SOURCE
#include "CAttacks.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

// Each returns 0 where it got what it wanted, otherwise the errno of what stopped it. None does harm where it succeeds.

static int result(long value) { return value < 0 ? errno : 0; }

static int open_host_file(void) { return result(open("/etc/passwd", O_RDONLY)); }

static int climb_out(void) { return result(openat(AT_FDCWD, "../../../../etc/passwd", O_RDONLY)); }

static int list_root(void) {
    char entries[1024];
    int directory = open("/", O_RDONLY | O_DIRECTORY);
    if (directory < 0) return errno;
    long count = syscall(SYS_getdents64, directory, entries, sizeof entries);
    close(directory);
    if (count < 0) return errno;
    // "." and ".." alone take 48 bytes.
    return count > 48 ? 0 : ENOENT;
}

static int create_file(void) { return result(open("/planted", O_WRONLY | O_CREAT, 0600)); }

static int see_processes(void) { return result(open("/proc/1/cmdline", O_RDONLY)); }

// Everybody else whom it may signal. In a pid namespace of its own there is nobody.
static int signal_everybody(void) { return result(kill(-1, 0)); }

// Its parent is in another pid namespace, so that it looks like nobody.
static int signal_parent(void) {
    pid_t parent = getppid();
    return parent == 0 ? ESRCH : result(kill(parent, 0));
}

static int trace_parent(void) { return result(ptrace(PTRACE_SEIZE, getppid() ? getppid() : 2, 0, 0)); }

static int reach_loopback(void) {
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    if (descriptor < 0) return errno;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(22), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int code = result(connect(descriptor, (struct sockaddr *)&address, sizeof address));
    close(descriptor);
    return code;
}

// The test listens there, in the network namespace outside.
static int reach_abstract_socket(void) {
    int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
    if (descriptor < 0) return errno;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, "\0swiftlet-jail-test", 19);
    int code = result(connect(descriptor, (struct sockaddr *)&address, offsetof(struct sockaddr_un, sun_path) + 19));
    close(descriptor);
    return code;
}

static int fork_process(void) {
    pid_t pid = (pid_t)syscall(SYS_fork);
    if (pid == 0) _exit(0);
    if (pid > 0) waitpid(pid, NULL, 0);
    return result(pid);
}

static int make_thread(void) {
    // Never runs: where it is made, it ends at once.
    static char stack[4096] __attribute__((aligned(16)));
    long thread = syscall(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, stack + sizeof stack - 64, NULL, NULL, 0);
    if (thread == 0) _exit(0);
    return result(thread);
}

static int execute(void) {
    char *arguments[] = {"/bin/sh", "-c", "true", NULL};
    return result(execve(arguments[0], arguments, NULL));
}

static int mount_files(void) { return result(mount("proc", "/", "proc", 0, NULL)); }

static int become_root(void) { return result(syscall(SYS_setresuid, 0, 0, 0)); }

static int open_kvm(void) { return result(open("/dev/kvm", O_RDWR)); }

// By a descriptor that was left open.
static int second_machine(void) {
    int last = EBADF;
    for (int descriptor = 3; descriptor < 1024; descriptor++) {
        int machine = ioctl(descriptor, KVM_CREATE_VM, 0UL);
        if (machine >= 0) return 0;
        if (errno != EBADF && errno != ENOTTY) last = errno;
    }
    return last;
}

static int fill_memory(void) {
    // More than it needs, less than what could hurt the machine that tests it.
    enum { pieces = 64, size = 16 << 20 };
    char *memory[pieces];
    int count = 0, code = 0;
    while (count < pieces && code == 0) {
        memory[count] = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory[count] == MAP_FAILED) code = errno; else count++;
    }
    while (count > 0) munmap(memory[--count], size);
    return code;
}

static int executable_memory(void) {
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? errno : 0;
}

// Far behind the end of every file that is open for writing.
static int fill_disk(void) {
    int last = EBADF;
    for (int descriptor = 3; descriptor < 1024; descriptor++) {
        if (pwrite(descriptor, "x", 1, 1L << 36) == 1) return 0;
        if (errno != EBADF && errno != ESPIPE && errno != EINVAL) last = errno;
    }
    return last;
}

static int fill_descriptors(void) {
    for (int count = 0; count < 4096; count++) {
        if (dup(STDERR_FILENO) < 0) {
            int code = errno;
            for (int descriptor = 64; descriptor < 4096; descriptor++) {
                if (fcntl(descriptor, F_GETFD) == 0 && count-- > 0) close(descriptor);
            }
            return code;
        }
    }
    return 0;
}

static int raise_limit(void) {
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    return result(setrlimit(RLIMIT_NPROC, &limit));
}

static int new_network(void) { return result(unshare(CLONE_NEWNET)); }

static int type_into_terminal(void) { return result(ioctl(STDIN_FILENO, TIOCSTI, "x")); }

static int load_program(void) { return result(syscall(SYS_bpf, 0, NULL, 0)); }

static int add_key(void) { return result(syscall(SYS_add_key, "user", "planted", "x", 1, -3)); }

static const struct {
    const char *name;
    int (*attack)(void);
} attacks[] = {
    {"open-host-file", open_host_file},
    {"climb-out", climb_out},
    {"list-root", list_root},
    {"create-file", create_file},
    {"see-processes", see_processes},
    {"signal-everybody", signal_everybody},
    {"signal-parent", signal_parent},
    {"trace-parent", trace_parent},
    {"reach-loopback", reach_loopback},
    {"reach-abstract-socket", reach_abstract_socket},
    {"fork", fork_process},
    {"make-thread", make_thread},
    {"execute", execute},
    {"mount", mount_files},
    {"become-root", become_root},
    {"open-kvm", open_kvm},
    {"second-machine", second_machine},
    {"executable-memory", executable_memory},
    {"fill-disk", fill_disk},
    {"fill-descriptors", fill_descriptors},
    {"raise-limit", raise_limit},
    {"new-network", new_network},
    {"type-into-terminal", type_into_terminal},
    {"load-program", load_program},
    {"add-key", add_key},
    {"fill-memory", fill_memory},
};

int cattacks_try(const char *name) {
    int found = 0;
    for (size_t index = 0; index < sizeof attacks / sizeof *attacks; index++) {
        if (strcmp(name, "all") != 0 && strcmp(name, attacks[index].name) != 0) continue;
        found = 1;
        int code = attacks[index].attack();
        char line[128];
        int length = snprintf(line, sizeof line, "attack %s: %s\n", attacks[index].name, code == 0 ? "SUCCEEDED" : strerrorname_np(code));
        (void)!write(STDERR_FILENO, line, (size_t)length);
    }
    return found;
}

int cattacks_is_locked(void) {
    struct rlimit limit;
    return getrlimit(RLIMIT_NPROC, &limit) == 0 && limit.rlim_cur == 0;
}
