// libseccomp: the compiler from rules to BPF. Its actions are macros that don't import.
#pragma once

#include <seccomp.h>

static const uint32_t scmp_action_allow = SCMP_ACT_ALLOW;
static const uint32_t scmp_action_trap = SCMP_ACT_TRAP;
static const uint32_t scmp_action_kill_process = SCMP_ACT_KILL_PROCESS;
static const uint32_t scmp_native_architecture = SCMP_ARCH_NATIVE;
