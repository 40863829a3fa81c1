// A thread with a root directory of its own, empty each time: what unpacks a layer does it in `/`, and libFuzzer's files must stay where they are.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static sem_t wanted, done;
static void (*work)(void *);
static void *argument;
static char scratch[] = "/tmp/layers-fuzz-XXXXXX";

static void need(int succeeded, const char *what) {
    if (succeeded) return;
    perror(what);
    _exit(1);
}

/// libFuzzer's clock ticks by a signal.
static void wait_for(sem_t *event) {
    while (sem_wait(event)) {}
}

static void *serve(void *unused) {
    (void)unused;
    // The agent has no signal handlers, so EINTR is not expected in there.
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, 0);
    need(!unshare(CLONE_NEWNS), "layers: only root can make a mount namespace");
    need(!mount("none", "/", 0, MS_REC | MS_PRIVATE, 0), "mount --make-rprivate /");
    int outside = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    need(outside >= 0, "open /");
    for (;;) {
        wait_for(&wanted);
        need(!mount("none", scratch, "tmpfs", MS_NODEV, "size=8m"), "mount tmpfs");
        need(!chroot(scratch) && !chdir("/"), "chroot");
        work(argument);
        need(!fchdir(outside) && !chroot("."), "leave chroot");
        need(!umount2(scratch, MNT_DETACH), "umount");
        sem_post(&done);
    }
}

static void forget(void) { rmdir(scratch); }

/// Runs `body` in an empty root directory.
void fuzz_in_scratch_root(void (*body)(void *), void *value) {
    static int is_started;
    if (!is_started) {
        pthread_t thread;
        umask(0);
        need(mkdtemp(scratch) != 0, "mkdtemp");
        atexit(forget);
        sem_init(&wanted, 0, 0);
        sem_init(&done, 0, 0);
        need(!pthread_create(&thread, 0, serve, 0), "pthread_create");
        is_started = 1;
    }
    work = body;
    argument = value;
    sem_post(&wanted);
    wait_for(&done);
}

/// A descriptor of a file with these bytes.
int fuzz_file_in_memory(const void *bytes, size_t count) {
    int file = memfd_create("layer", MFD_CLOEXEC);
    need(file >= 0 && write(file, bytes, count) == (ssize_t)count, "memfd_create");
    return file;
}

/// Of CGuest.c, whose other functions stand in for what musl lacks.
void guest_use_sha_extensions(void) {}
