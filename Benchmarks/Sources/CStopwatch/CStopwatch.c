#define _GNU_SOURCE
#include "CStopwatch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static int64_t read_clock(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t stopwatch_now(void) { return read_clock(CLOCK_MONOTONIC); }

int64_t stopwatch_clock_distance(void) { return read_clock(CLOCK_REALTIME) - read_clock(CLOCK_MONOTONIC); }

pid_t stopwatch_spawn(char *const arguments[], char *const environment[], int output, int error, int64_t *executed) {
    int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (input < 0) return -1;
    // vfork: the child writes to the parent's `executed`, and no page tables are copied.
    pid_t child = vfork();
    if (child == 0) {
        dup2(input, 0);
        dup2(output, 1);
        dup2(error, 2);
        *executed = stopwatch_now();
        execve(arguments[0], arguments, environment);
        _exit(127);
    }
    close(input);
    return child;
}

int stopwatch_create_machine(void) {
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (kvm < 0) return -1;
    int machine = ioctl(kvm, KVM_CREATE_VM, 0);
    close(kvm);
    if (machine >= 0) fcntl(machine, F_SETFD, FD_CLOEXEC);
    return machine;
}

int stopwatch_open_read(const char *path) { return open(path, O_RDONLY | O_CLOEXEC); }

int stopwatch_open_write(const char *path) { return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644); }

int stopwatch_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

int stopwatch_errno(void) { return errno; }
