// What the jail needs from C: system calls without a wrapper, and a signal handler, which must not touch Swift's runtime.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// MARK: Namespaces

/// clone3(2) without a stack of its own: a fork into the namespaces of `flags`, the parent waiting until the child executes or ends (CLONE_VFORK), and into the cgroup
/// whose directory is open as `cgroup` unless that is negative. `pidfd` gets a descriptor of the child. Returns like fork(2).
pid_t cjail_fork(uint64_t flags, int cgroup, int *pidfd);

/// close_range(2): marks all descriptors from `first` on close-on-exec.
int cjail_close_on_exec_from(unsigned first);

int cjail_pivot_root(const char *root, const char *old);

/// No supplementary groups, then the group, then the user: of this thread alone, unlike glibc's functions, which ask all other threads to do the same.
int cjail_become(uid_t user, gid_t group);

/// prctl(2), whose importer knows no variadic functions. What each asks for is in its name; all but the first can't be taken back.
int cjail_keep_capabilities(void);
int cjail_forbid_privileges(void);
int cjail_forbid_dumps(void);
int cjail_die_with_parent(void);

/// Takes that back.
int cjail_outlive_parent(void);

/// Flags of `cjail_fork`: a pid namespace, which nobody can enter but by being born, and a user namespace.
extern const uint64_t cjail_new_processes;
extern const uint64_t cjail_new_user;

/// unshare(2): this thread, and those that it starts from now on, enter mount, network, ipc, uts and cgroup namespaces of their own. `network`: a network namespace to enter
/// instead (setns(2)); negative: none.
int cjail_leave_namespaces(int network);

int cjail_signal(int pidfd, int signal);

// MARK: Mounts without a place

/// open_tree(2): a copy of the mounts at and below `path`; a link at its end is not followed.
int cjail_copy_tree(const char *path);

/// mount_setattr(2) on the whole of it: no programs, no devices, nothing set-id, and read-only where `read_only` isn't 0.
int cjail_restrict_tree(int tree, int read_only);

/// A new proc(5) with this pid namespace alone (fsopen(2), fsmount(2)), of which /self/fd is opened with O_PATH.
int cjail_open_own_descriptors(void);

/// No root's privileges by executing, none lost by becoming somebody else (capabilities(7)), and no way back.
int cjail_lock_secure_bits(void);

// MARK: Landlock

/// The version of the kernel's Landlock; negative where there is none.
int cjail_landlock_version(void);

/// Forbids every access by name that this version knows, to this thread and those that it starts.
int cjail_landlock_restrict(int version);

// MARK: The C library

/// Heaps don't shrink any more (mallopt(3)): before the first one of a thread would, glibc opens /proc/sys/vm/overcommit_memory.
int cjail_keep_heaps(void);

// MARK: seccomp

/// An instruction of classic BPF (linux/filter.h).
struct cjail_instruction {
    uint16_t code;
    uint8_t if_true;
    uint8_t if_false;
    uint32_t operand;
};

/// Installs a filter for this thread, which from now on calls itself `kind` in the reports of violations. `kind` must live on.
int cjail_install_filter(const struct cjail_instruction *instructions, uint16_t count, const char *kind);

/// From now on a violation of a filter is reported on standard error and ends the process with `status`. `names`: the names of the system calls from 0 on, each with a NUL;
/// they must live on.
void cjail_report_violations(const char *names, size_t size, int status);
