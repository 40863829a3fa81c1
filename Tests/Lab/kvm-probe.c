/* Runs a few instructions in a virtual machine and checks what they computed: proof that /dev/kvm works.
 * Prints "42 and N exits, CMPXCHG16B offered" (or "not offered"), or says what failed. */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

/* Real mode: cx = 1000; do { out 0x10, al; } while (--cx); al = 6; bl = 7; mul bl; out 0x11, al; hlt */
static const uint8_t code[] = {
    0xb9, 0xe8, 0x03, 0xe6, 0x10, 0x49, 0x75, 0xfb, 0xb0, 0x06, 0xb3, 0x07, 0xf6, 0xe3, 0xe6, 0x11, 0xf4,
};

static int check(const char *what, int result)
{
    if (result < 0) {
        perror(what);
        exit(1);
    }
    return result;
}

/* What docs/lab.md, "Flags" is about. */
static const char *offer(int kvm)
{
    enum { entries = 128, cmpxchg16b = 1 << 13 };
    struct kvm_cpuid2 *cpuid = calloc(1, sizeof *cpuid + entries * sizeof cpuid->entries[0]);
    cpuid->nent = entries;
    check("KVM_GET_SUPPORTED_CPUID", ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid));
    for (uint32_t i = 0; i < cpuid->nent; i++)
        if (cpuid->entries[i].function == 1 && cpuid->entries[i].ecx & cmpxchg16b)
            return "offered";
    return "not offered";
}

int main(void)
{
    int kvm = check("open /dev/kvm", open("/dev/kvm", O_RDWR | O_CLOEXEC));
    int machine = check("KVM_CREATE_VM", ioctl(kvm, KVM_CREATE_VM, 0));
    uint8_t *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memcpy(memory, code, sizeof code);
    struct kvm_userspace_memory_region region = {
        .guest_phys_addr = 0x1000, .memory_size = 4096, .userspace_addr = (uintptr_t)memory,
    };
    check("KVM_SET_USER_MEMORY_REGION", ioctl(machine, KVM_SET_USER_MEMORY_REGION, &region));
    int cpu = check("KVM_CREATE_VCPU", ioctl(machine, KVM_CREATE_VCPU, 0));
    int size = check("KVM_GET_VCPU_MMAP_SIZE", ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0));
    struct kvm_run *run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu, 0);

    struct kvm_sregs segments;
    check("KVM_GET_SREGS", ioctl(cpu, KVM_GET_SREGS, &segments));
    segments.cs.base = 0;
    segments.cs.selector = 0;
    check("KVM_SET_SREGS", ioctl(cpu, KVM_SET_SREGS, &segments));
    struct kvm_regs registers = { .rip = 0x1000, .rflags = 2 };
    check("KVM_SET_REGS", ioctl(cpu, KVM_SET_REGS, &registers));

    int result = -1, exits = 0;
    for (;;) {
        check("KVM_RUN", ioctl(cpu, KVM_RUN, 0));
        exits++;
        if (run->exit_reason == KVM_EXIT_HLT)
            break;
        if (run->exit_reason != KVM_EXIT_IO) {
            fprintf(stderr, "unexpected exit %u\n", run->exit_reason);
            return 1;
        }
        if (run->io.port == 0x11)
            result = *((uint8_t *)run + run->io.data_offset);
    }
    printf("%d and %d exits, CMPXCHG16B %s\n", result, exits, offer(kvm));
    return 0;
}
