// libseccomp: the compiler from rules to BPF. Variadic functions and function-like macros don't import.
#pragma once

#include <seccomp.h>
