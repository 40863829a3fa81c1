// SPDX-License-Identifier: GPL-2.0
/*
 * For an emulated processor whose VMRUN forgets the interrupt shadow (docs/lab.md, "Interrupts between STI and HLT").
 *
 * A guest goes to sleep by STI and HLT, and nothing may interrupt it between them: what wakes it up would come before it sleeps. An interrupt of the host's
 * does end VMRUN there; the processor says so in the VMCB, and has to remember it at the next VMRUN. This one doesn't, so KVM's interrupt for the guest comes
 * before the HLT. Told that the guest executed the HLT, which is what it does next in any case, KVM wakes it up.
 */
#include <linux/hash.h>
#include <linux/kprobes.h>
#include <linux/kvm_host.h>
#include <linux/module.h>
#include <asm/svm.h>

static unsigned long mended;
module_param(mended, ulong, 0444);
MODULE_PARM_DESC(mended, "How often it has happened");

/* Where a virtual CPU was when it last executed HLT: an idle kernel has one place for that. */
static struct {
	struct kvm_vcpu *vcpu;
	u64 address;
} halts[64];

static int before_exit(struct kprobe *probe, struct pt_regs *registers)
{
	struct kvm_vcpu *vcpu = (void *)registers->di;
	/* struct vcpu_svm begins with its struct kvm_vcpu and the address of its VMCB. */
	struct vmcb *vmcb = *(struct vmcb **)(vcpu + 1);
	typeof(&halts[0]) halt = &halts[hash_ptr(vcpu, 6)];

	if (vmcb->control.exit_code == SVM_EXIT_HLT) {
		halt->vcpu = vcpu;
		halt->address = vmcb->save.rip;
	} else if (vmcb->control.exit_code == SVM_EXIT_INTR && (vmcb->control.int_state & SVM_INTERRUPT_SHADOW_MASK) &&
		   halt->vcpu == vcpu && halt->address == vmcb->save.rip) {
		vmcb->control.exit_code = SVM_EXIT_HLT;
		mended++;
	}
	return 0;
}

static struct kprobe probe = { .symbol_name = "svm_handle_exit", .pre_handler = before_exit };

static int __init begin(void)
{
	return register_kprobe(&probe);
}

static void __exit end(void)
{
	unregister_kprobe(&probe);
}

module_init(begin);
module_exit(end);
MODULE_DESCRIPTION("Keeps interrupts of KVM's guests from coming between STI and HLT");
MODULE_LICENSE("GPL");
