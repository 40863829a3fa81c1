// Makes one system call of one process fail, by ptrace(2):
//   inject PROGRAM NUMBER CHOICE REPORT COMMAND [ARGUMENT...]
// runs COMMAND; in the first process that executes a file named PROGRAM, and in all its threads, the NUMBERth system call that can fail (counted from 1) fails with the
// CHOICEth errno of those it can return. REPORT gets a line that says what failed with which errno, its first argument, and how many such calls there were:
// "prctl 1 24 1234" (or "none 0 0 1234"). With NUMBER 0, when none fails, a line for each of them comes before: its name and its first argument.
// Exits with the command's status, or 128 + N after signal N.
//
// Not counted: what cannot fail, what the C library relies on without asking (futex(2), its locks), and the allocator's memory, without which no program goes on.
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

struct rule {
    long number;
    const char *name;
    int errors[6];
};

#define CALL(name, ...) {SYS_##name, #name, {__VA_ARGS__}}

static const struct rule rules[] = {
    CALL(read, EIO, EINTR, ENOMEM), CALL(pread64, EIO, EINTR, ENOMEM), CALL(readv, EIO, EINTR), CALL(preadv, EIO, EINTR, ENOMEM),
    CALL(write, EIO, EINTR, EPIPE, ENOSPC), CALL(pwrite64, EIO, EINTR, ENOSPC), CALL(writev, EIO, EPIPE), CALL(pwritev, EIO, EINTR, ENOSPC, EDQUOT),
    CALL(sendmsg, EPIPE, ECONNRESET, ENOMEM, EINTR), CALL(sendto, EPIPE, ECONNRESET, EINTR), CALL(recvmsg, ECONNRESET, ENOMEM, EINTR),
    CALL(recvfrom, ECONNRESET, ENOMEM, EINTR), CALL(shutdown, ENOTCONN), CALL(fdatasync, EIO, ENOSPC), CALL(fsync, EIO, ENOSPC),
    CALL(fallocate, EOPNOTSUPP, ENOSPC, EINTR, EIO), CALL(ftruncate, EIO, EFBIG, ENOSPC), CALL(lseek, ESPIPE),
    CALL(open, EMFILE, ENFILE, EACCES, ENOENT, ENOMEM), CALL(openat, EMFILE, ENFILE, EACCES, ENOENT, ENOMEM), CALL(openat2, ENOSYS, EMFILE, EACCES, ENOENT),
    CALL(fstat, EIO, ENOMEM), CALL(newfstatat, EIO, EACCES, ENOMEM), CALL(statx, EIO, ENOMEM), CALL(fcntl, EMFILE, EINVAL), CALL(dup, EMFILE), CALL(dup2, EMFILE),
    CALL(dup3, EMFILE), CALL(ioctl, ENOMEM, EINVAL, EINTR, EPERM, EFAULT), CALL(mmap, ENOMEM, EAGAIN), CALL(memfd_create, EMFILE, ENOMEM), CALL(pipe2, EMFILE, ENFILE),
    CALL(socketpair, EMFILE, ENOMEM), CALL(socket, EMFILE, ENOMEM), CALL(connect, ECONNREFUSED, EINTR), CALL(accept4, EMFILE, ENOMEM), CALL(eventfd2, EMFILE, ENODEV, ENOMEM),
    CALL(signalfd4, EMFILE, ENOMEM), CALL(timerfd_create, EMFILE, ENOMEM), CALL(timerfd_settime, EINVAL), CALL(epoll_create1, EMFILE, ENOMEM),
    CALL(epoll_ctl, ENOMEM, ENOSPC), CALL(epoll_wait, EINTR), CALL(epoll_pwait, EINTR), CALL(poll, EINTR, ENOMEM), CALL(clone, EAGAIN, ENOMEM), CALL(clone3, EAGAIN, ENOMEM),
    CALL(getrandom, EINTR, ENOSYS), CALL(prlimit64, EPERM, EINVAL), CALL(setrlimit, EPERM, EINVAL), CALL(prctl, EPERM, EINVAL), CALL(capset, EPERM), CALL(capget, EPERM),
    CALL(setuid, EPERM, EAGAIN), CALL(setgid, EPERM), CALL(setresuid, EPERM, EAGAIN), CALL(setresgid, EPERM), CALL(setgroups, EPERM, ENOMEM), CALL(mount, EPERM, ENOMEM, EBUSY),
    CALL(umount2, EPERM, EBUSY), CALL(pivot_root, EPERM, EINVAL), CALL(chroot, EPERM), CALL(chdir, EACCES, ENOENT), CALL(fchdir, EACCES), CALL(mkdir, EROFS, EACCES),
    CALL(mkdirat, EROFS, EACCES), CALL(unshare, EPERM, ENOSPC, ENOMEM), CALL(setns, EPERM), CALL(sethostname, EPERM), CALL(seccomp, EINVAL, ENOMEM), CALL(close_range, ENOSYS, EMFILE),
    CALL(rt_sigprocmask, EINVAL), CALL(sched_setaffinity, EINVAL), CALL(getdents64, EIO),
    // Landlock: create_ruleset, add_rule, restrict_self.
    {444, "landlock_create_ruleset", {ENOSYS, EOPNOTSUPP, ENOMEM}}, {445, "landlock_add_rule", {EINVAL, ENOMEM}}, {446, "landlock_restrict_self", {EPERM, E2BIG}},
    {442, "mount_setattr", {ENOSYS, EPERM}}, {428, "open_tree", {ENOSYS, EPERM}}, {429, "move_mount", {EPERM}},
};

static const struct rule *rule_for(const struct user_regs_struct *registers) {
    long number = (long)registers->orig_rax;
    if (number == SYS_mmap) {
        unsigned long flags = registers->r10, protection = registers->rdx;
        if (flags == (MAP_PRIVATE | MAP_ANONYMOUS)) return 0;
        if ((flags & MAP_NORESERVE) && protection == PROT_NONE) return 0;
    }
    // A failed RSEQ, robust list and the like are in no rule; what stops a thread is neither.
    for (size_t index = 0; index < sizeof rules / sizeof *rules; index++)
        if (rules[index].number == number) return &rules[index];
    return 0;
}

/// Threads by their ids: whether one is inside a system call, and whether its result is to be replaced.
static struct thread {
    pid_t id;
    int is_inside, belongs, error;
} threads[512];

static struct thread *thread_for(pid_t id) {
    for (size_t index = 0; index < sizeof threads / sizeof *threads; index++)
        if (threads[index].id == id) return &threads[index];
    for (size_t index = 0; index < sizeof threads / sizeof *threads; index++)
        if (!threads[index].id) {
            threads[index] = (struct thread){.id = id};
            return &threads[index];
        }
    fprintf(stderr, "inject: too many threads\n");
    exit(99);
}

/// Whether the process executes a file of this name.
static int runs(pid_t id, const char *program) {
    char path[64], target[4096];
    snprintf(path, sizeof path, "/proc/%d/exe", id);
    ssize_t count = readlink(path, target, sizeof target - 1);
    if (count <= 0) return 0;
    target[count] = 0;
    const char *name = strrchr(target, '/');
    return name && !strcmp(name + 1, program);
}

int main(int count, char **arguments) {
    if (count < 6) {
        fprintf(stderr, "usage: inject PROGRAM NUMBER CHOICE REPORT COMMAND [ARGUMENT...]\n");
        return 99;
    }
    const char *program = arguments[1];
    long wanted = atol(arguments[2]), choice = atol(arguments[3]), seen = 0;
    const char *hit = "none";
    FILE *report = fopen(arguments[4], "we");
    if (!report) return 99;
    int hit_error = 0;
    long long hit_argument = 0;

    pid_t child = fork();
    if (child < 0) return 99;
    if (child == 0) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        execv(arguments[5], arguments + 5);
        _exit(127);
    }
    int status, result = 99;
    waitpid(child, &status, 0);
    long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
    ptrace(PTRACE_SETOPTIONS, child, 0, options);
    ptrace(PTRACE_SYSCALL, child, 0, 0);
    for (;;) {
        pid_t id = waitpid(-1, &status, __WALL);
        if (id < 0) break;
        struct thread *thread = thread_for(id);
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (id == child) result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            *thread = (struct thread){0};
            continue;
        }
        int signal = WSTOPSIG(status), event = status >> 16, passed = 0;
        if (event == PTRACE_EVENT_EXEC) {
            thread->belongs = runs(id, program);
        } else if (event == PTRACE_EVENT_CLONE) {
            unsigned long new_id = 0;
            ptrace(PTRACE_GETEVENTMSG, id, 0, &new_id);
            struct thread *other = thread_for((pid_t)new_id);
            other->belongs = thread_for(id)->belongs;
        } else if (event) {
            // Forks: their exec will tell.
        } else if (signal == (SIGTRAP | 0x80)) {
            struct user_regs_struct registers;
            if (!ptrace(PTRACE_GETREGS, id, 0, &registers)) {
                if (!thread->is_inside) {
                    const struct rule *rule = thread->belongs ? rule_for(&registers) : 0;
                    if (rule && !wanted) fprintf(report, "%s %lld\n", rule->name, (long long)registers.rdi);
                    if (rule && ++seen == wanted) {
                        int errors = 0;
                        while (errors < 6 && rule->errors[errors]) errors++;
                        hit = rule->name;
                        hit_argument = (long long)registers.rdi;
                        hit_error = thread->error = rule->errors[choice % errors];
                        // Something harmless that every filter allows.
                        registers.orig_rax = SYS_gettid;
                        ptrace(PTRACE_SETREGS, id, 0, &registers);
                    }
                } else if (thread->error) {
                    registers.rax = (unsigned long)-(long)thread->error;
                    thread->error = 0;
                    ptrace(PTRACE_SETREGS, id, 0, &registers);
                }
                thread->is_inside = !thread->is_inside;
            }
        } else if (signal != SIGSTOP && signal != SIGTRAP) {
            passed = signal;
        }
        ptrace(PTRACE_SYSCALL, id, 0, passed);
    }
    fprintf(report, "%s %d %lld %ld\n", hit, hit_error, hit_argument, seen);
    fclose(report);
    return result;
}
