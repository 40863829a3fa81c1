// What Swift can't call: vfork(2), and variadic or GNU functions.
#pragma once

#include <stdint.h>
#include <sys/types.h>

/// CLOCK_MONOTONIC in nanoseconds.
int64_t stopwatch_now(void);

/// CLOCK_REALTIME less CLOCK_MONOTONIC, in nanoseconds.
int64_t stopwatch_clock_distance(void);

/// Executes `arguments[0]` with `output` and `error` as its standard output and error, and nothing as its input.
/// `*executed` becomes the time just before execve(2), in the child. Returns the child's pid, or -1 with errno.
/// A program that can't be executed exits with 127.
pid_t stopwatch_spawn(char *const arguments[], char *const environment[], int output, int error, int64_t *executed);

/// An empty virtual machine: the descriptor of KVM_CREATE_VM, or -1 with errno.
int stopwatch_create_machine(void);

/// open(2) for reading; or for writing, anew. -1 with errno.
int stopwatch_open_read(const char *path);
int stopwatch_open_write(const char *path);

/// pipe2(2) with O_CLOEXEC: 0, or -1 with errno.
int stopwatch_pipe(int ends[2]);

int stopwatch_errno(void);
