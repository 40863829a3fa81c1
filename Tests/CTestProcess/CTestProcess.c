#define _GNU_SOURCE
#include "CTestProcess.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

// What the child needs; made before fork(2), after which only async-signal-safe calls are allowed.
struct child_streams {
    int ends[3];
    int is_terminal;
};

static _Noreturn void become(char *const argv[], char *const envp[], const char *directory, struct child_streams streams)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    for (int number = 1; number < 65; number++) sigaction(number, &action, 0);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, 0);
    setsid();
    if (streams.is_terminal) ioctl(streams.ends[0], TIOCSCTTY, 0);
    for (int number = 0; number < 3; number++)
        if (dup2(streams.ends[number], number) < 0) _exit(250);
    close_range(3, ~0U, 0);
    if (directory && chdir(directory)) _exit(251);
    execve(argv[0], argv, envp);
    _exit(252);
}

static int make_pipe(int *reader, int *writer)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC)) return -1;
    *reader = ends[0];
    *writer = ends[1];
    return 0;
}

int test_process_start(
    struct test_process *process, char *const argv[], char *const envp[], const char *directory, enum test_process_streams streams,
    unsigned short rows, unsigned short columns)
{
    struct child_streams child = {.is_terminal = streams == TEST_PROCESS_TERMINAL};
    process->input = process->output = process->error = -1;
    if (child.is_terminal) {
        struct winsize size = {.ws_row = rows, .ws_col = columns};
        int user_side;
        if (openpty(&process->input, &user_side, 0, 0, &size)) return errno;
        fcntl(process->input, F_SETFD, FD_CLOEXEC);
        fcntl(user_side, F_SETFD, FD_CLOEXEC);
        process->output = fcntl(process->input, F_DUPFD_CLOEXEC, 0);
        child.ends[0] = child.ends[1] = child.ends[2] = user_side;
    } else {
        if (streams == TEST_PROCESS_NO_INPUT) {
            child.ends[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
        } else if (make_pipe(&child.ends[0], &process->input)) {
            return errno;
        }
        if (make_pipe(&process->output, &child.ends[1]) || make_pipe(&process->error, &child.ends[2])) return errno;
    }
    process->pid = fork();
    if (process->pid < 0) return errno;
    if (process->pid == 0) become(argv, envp, directory, child);
    for (int number = 0; number < (child.is_terminal ? 1 : 3); number++) close(child.ends[number]);
    return 0;
}

int test_process_resize(int terminal, unsigned short rows, unsigned short columns)
{
    struct winsize size = {.ws_row = rows, .ws_col = columns};
    return ioctl(terminal, TIOCSWINSZ, &size);
}

int test_process_adopt_orphans(int adopts)
{
    return prctl(PR_SET_CHILD_SUBREAPER, adopts, 0, 0, 0);
}
