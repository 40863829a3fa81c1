// What the tests run inside containers where a shell can't tell enough: one static program with a verb each.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <termios.h>
#include <unistd.h>

static int fail(const char *what)
{
    fprintf(stderr, "probe: %s: %s\n", what, strerror(errno));
    return 99;
}

// Writes or reads until all is done; what pipes and terminals deliver in pieces arrives whole.
static int write_all(int fd, const unsigned char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t written = write(fd, bytes, count);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return -1;
        bytes += written;
        count -= (size_t)written;
    }
    return 0;
}

// arguments…: each in brackets, so that empty ones and blanks show.
static int print_arguments(int count, char **words)
{
    for (int index = 0; index < count; index++) printf("[%s]\n", words[index]);
    return 0;
}

static int crash(void)
{
    puts("about to crash");
    fflush(stdout);
    volatile int *nowhere = 0;
    *nowhere = 1;
    return 0;
}

// Every byte value, in order: 256 bytes on each of the two outputs, reversed on standard error.
static int all_bytes(void)
{
    unsigned char up[256], down[256];
    for (int value = 0; value < 256; value++) {
        up[value] = (unsigned char)value;
        down[value] = (unsigned char)(255 - value);
    }
    return write_all(1, up, 256) || write_all(2, down, 256) ? fail("write") : 0;
}

// COUNT bytes of xorshift64*: no run of it repeats, so that lost, doubled or swapped bytes change the checksum.
static int pump(uint64_t count)
{
    static uint64_t words[8192];
    uint64_t state = 0x9E3779B97F4A7C15;
    while (count > 0) {
        for (size_t index = 0; index < sizeof words / sizeof *words; index++) {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            words[index] = state * 0x2545F4914F6CDD1D;
        }
        size_t part = count < sizeof words ? (size_t)count : sizeof words;
        if (write_all(1, (const unsigned char *)words, part)) return fail("write");
        count -= part;
    }
    return 0;
}

// Starts COUNT processes whose parents end before them, so that PID 1 must reap them, and waits until each has said
// that it is about to end. PID 1 of the container is this program, or the shell that runs it.
static int orphans(int count)
{
    int pipes[2];
    if (pipe(pipes)) return fail("pipe");
    for (int index = 0; index < count; index++) {
        pid_t middle = fork();
        if (middle < 0) return fail("fork");
        if (middle == 0) {
            pid_t orphan = fork();
            if (orphan < 0) _exit(98);
            if (orphan > 0) _exit(0);
            // Waits until it is one, without timers: thousands of short ones are more than a nested machine bears (docs/lab.md).
            pid_t parent = getppid();
            while (getppid() == parent && parent != 1) sched_yield();
            char byte = 'x';
            _exit(write(pipes[1], &byte, 1) == 1 ? 7 : 97);
        }
        int status;
        if (waitpid(middle, &status, 0) != middle || status != 0) return fail("waitpid");
    }
    close(pipes[1]);
    int seen = 0;
    char byte;
    while (read(pipes[0], &byte, 1) == 1) seen++;
    printf("orphans %d\n", seen);
    return seen == count ? 0 : 96;
}

static volatile sig_atomic_t received[65];
static void note(int number) { received[number] = 1; }

// Prints the name of each signal that arrives, in order, until SIGTERM, which ends it with status 40.
static int print_signals(void)
{
    sigset_t all;
    sigemptyset(&all);
    int numbers[] = {SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM, SIGCONT, SIGWINCH, SIGALRM, 34, 35, 64};
    for (size_t index = 0; index < sizeof numbers / sizeof *numbers; index++) {
        sigaddset(&all, numbers[index]);
        signal(numbers[index], note);
    }
    sigprocmask(SIG_BLOCK, &all, 0);
    puts("ready");
    fflush(stdout);
    for (;;) {
        int number = sigwaitinfo(&all, 0);
        if (number < 0) {
            if (errno == EINTR) continue;
            return fail("sigwaitinfo");
        }
        printf("signal %d\n", number);
        fflush(stdout);
        if (number == SIGTERM) return 40;
    }
}

// What the standard streams are, the terminal's size and modes.
static int terminal(void)
{
    struct winsize size = {0};
    struct termios mode = {0};
    ioctl(0, TIOCGWINSZ, &size);
    int has_mode = tcgetattr(0, &mode) == 0;
    printf("tty %d%d%d size %dx%d echo %d canonical %d session %d foreground %d name %s\n", isatty(0), isatty(1), isatty(2), size.ws_row,
        size.ws_col, has_mode && (mode.c_lflag & ECHO) != 0, has_mode && (mode.c_lflag & ICANON) != 0, getsid(0) == getpid(),
        tcgetpgrp(0) == getpgrp(), isatty(0) ? ttyname(0) : "none");
    return 0;
}

// Prints the terminal's size now and after every change, until "q" is typed or standard input ends.
static int follow_size(void)
{
    struct termios mode;
    if (tcgetattr(0, &mode)) return fail("tcgetattr");
    cfmakeraw(&mode);
    if (tcsetattr(0, TCSANOW, &mode)) return fail("tcsetattr");
    // Taken only inside ppoll: one that comes between the print and the wait must not be lost.
    struct sigaction action = {.sa_handler = note};
    sigaction(SIGWINCH, &action, 0);
    sigset_t window, none;
    sigemptyset(&none);
    sigemptyset(&window);
    sigaddset(&window, SIGWINCH);
    sigprocmask(SIG_BLOCK, &window, 0);
    for (;;) {
        struct winsize size = {0};
        ioctl(0, TIOCGWINSZ, &size);
        printf("size %dx%d\r\n", size.ws_row, size.ws_col);
        fflush(stdout);
        struct pollfd input = {.fd = 0, .events = POLLIN};
        if (ppoll(&input, 1, 0, &none) < 0 && errno == EINTR) continue;
        unsigned char byte;
        ssize_t count = read(0, &byte, 1);
        if (count <= 0 || byte == 'q') return 0;
        printf("byte %d\r\n", byte);
    }
}

// Touches memory until there is none left; the kernel's killer must take this process, not the machine.
static int eat_memory(void)
{
    for (;;) {
        char *piece = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (piece == MAP_FAILED) return 95;
        memset(piece, 1, 1 << 20);
    }
}

static int print_attribute(const char *path, const char *name)
{
    unsigned char value[1024];
    ssize_t count = lgetxattr(path, name, value, sizeof value);
    if (count < 0) return fail(path);
    for (ssize_t index = 0; index < count; index++) printf("%02x", value[index]);
    putchar('\n');
    return 0;
}

static int print_limits(void)
{
    struct rlimit limit;
    for (int resource = 0; resource < 16; resource++) {
        if (getrlimit(resource, &limit)) return fail("getrlimit");
        printf("%d %lld %lld\n", resource, (long long)limit.rlim_cur, (long long)limit.rlim_max);
    }
    return 0;
}

// Calls that a confined container can't make, with arguments that do no harm: each one's name and what it said.
static int try_calls(void)
{
    const struct { const char *name; long number, first, second; } calls[] = {
        {"add_key", SYS_add_key, 0, 0},
        {"keyctl", SYS_keyctl, 99, 0},
        {"request_key", SYS_request_key, 0, 0},
        {"io_uring_setup", 425, 0, 0},
        {"userfaultfd", SYS_userfaultfd, 0x12345, 0},
        {"kexec_load", SYS_kexec_load, 0, 0},
        {"bpf", SYS_bpf, 99, 0},
        {"perf_event_open", SYS_perf_event_open, 0, -1},
        {"open_by_handle_at", SYS_open_by_handle_at, -1, 0},
        {"mount", SYS_mount, 0, 0},
        {"setns", SYS_setns, -1, 0},
        {"unshare", SYS_unshare, 0x80, 0},
        {"clone namespaces", SYS_clone, CLONE_NEWUSER | CLONE_FS, 0},
        {"clone3", 435, 0, 0},
        {"vsock", SYS_socket, 40, SOCK_STREAM},
        {"personality", SYS_personality, 0x0040000, 0},
        {"later", 500, 0, 0},
    };
    for (size_t index = 0; index < sizeof calls / sizeof *calls; index++) {
        errno = 0;
        long result = syscall(calls[index].number, calls[index].first, calls[index].second, 0, 0, 0);
        printf("%s: %s\n", calls[index].name, result < 0 ? strerror(errno) : "done");
    }
    return 0;
}

static int print_identity(void)
{
    printf("user %d effective %d no new privileges %d seccomp %d\n", getuid(), geteuid(), prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0),
        prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
    return 0;
}

// Opens a device node for reading.
static int open_device(const char *path)
{
    char byte;
    int fd = open(path, O_RDONLY);
    printf("%s: %s\n", path, fd < 0 ? strerror(errno) : read(fd, &byte, 1) < 0 ? "opened, not read" : "read");
    return 0;
}

// Makes processes that stay until there can't be more, and prints how many there were.
static int fill_processes(void)
{
    int count = 0, pid = 0;
    while (count < 1000 && (pid = fork()) > 0) count++;
    if (pid == 0) {
        pause();
        _exit(0);
    }
    printf("%d processes, then %s\n", count, pid < 0 ? strerror(errno) : "no more wanted");
    return 0;
}

static int dispatch(int count, char **words)
{
    const char *verb = count > 1 ? words[1] : "";
    const char *value = count > 2 ? words[2] : "";
    if (!strcmp(verb, "arguments")) return print_arguments(count - 2, words + 2);
    if (!strcmp(verb, "crash")) return crash();
    if (!strcmp(verb, "bytes")) return all_bytes();
    if (!strcmp(verb, "pump")) return pump(strtoull(value, 0, 10));
    if (!strcmp(verb, "orphans")) return orphans(atoi(value));
    if (!strcmp(verb, "signals")) return print_signals();
    if (!strcmp(verb, "terminal")) return terminal();
    if (!strcmp(verb, "size")) return follow_size();
    if (!strcmp(verb, "eat")) return eat_memory();
    if (!strcmp(verb, "attribute") && count > 3) return print_attribute(value, words[3]);
    if (!strcmp(verb, "calls")) return try_calls();
    if (!strcmp(verb, "identity")) return print_identity();
    if (!strcmp(verb, "device")) return open_device(value);
    if (!strcmp(verb, "fill")) return fill_processes();
    if (!strcmp(verb, "limits")) return print_limits();
    if (!strcmp(verb, "sleep")) {
        puts("sleeping");
        fflush(stdout);
        return (int)sleep(1000);
    }
    fprintf(stderr, "probe: unknown verb '%s'\n", verb);
    return 94;
}

int main(int count, char **words)
{
    // As the init of an initrd, it crashes: that is how a guest's kernel is made to panic.
    if (getpid() == 1 && !strcmp(words[0], "/init")) return crash();
    return dispatch(count, words);
}
