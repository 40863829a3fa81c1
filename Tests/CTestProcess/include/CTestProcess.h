// Starting a process with pipes or a terminal of its own (openpty(3), fork(2)): what Swift's Glibc module doesn't offer.
#pragma once
#include <sys/types.h>

enum test_process_streams {
    /// Three pipes.
    TEST_PROCESS_PIPES,
    /// Output and error in pipes, input from /dev/null.
    TEST_PROCESS_NO_INPUT,
    /// A terminal, which controls the process.
    TEST_PROCESS_TERMINAL,
};

struct test_process {
    pid_t pid;
    /// The test's ends; -1 where there is none. A terminal has the same descriptor, duplicated, for input and output.
    int input, output, error;
};

/// Starts argv[0] in a session of its own with default signals. Returns 0 or an errno value.
int test_process_start(
    struct test_process *process, char *const argv[], char *const envp[], const char *directory, enum test_process_streams streams,
    unsigned short rows, unsigned short columns);

int test_process_resize(int terminal, unsigned short rows, unsigned short columns);

// Whether children of children that have ended become this process's own (PR_SET_CHILD_SUBREAPER).
int test_process_adopt_orphans(int adopts);
