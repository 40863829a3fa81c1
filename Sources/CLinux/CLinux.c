#include "CLinux.h"

#include <stddef.h>

// Header-only: the shims are inline so that they cost no call. This file makes the target buildable and checks the layouts the Swift side relies on.
_Static_assert(sizeof(struct kvm_userspace_memory_region) == 32, "kvm_userspace_memory_region");
_Static_assert(sizeof(struct kvm_cpuid_entry2) == 40, "kvm_cpuid_entry2");
_Static_assert(offsetof(struct kvm_run, mmio) == 32 && offsetof(struct kvm_run, mmio.data) == 40, "kvm_run.mmio");
