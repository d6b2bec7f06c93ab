// SPDX-License-Identifier: MIT
/*
 * Contracts that KVM breaks in a way that could do harm to the host that runs them. These cases run on
 * request only: make lab FILTER=kvm_bugs. cases/drift.md has the details.
 */
#include "kvmspec.h"

GUEST(real16, shutdown);

/* After the exit KVM enters the guest with 0 for the address of its nested page table. */
CASE(kvm_bugs, real_mode_vcpu_that_shut_down_runs_again, .contract = "exit.shutdown.restart",
     .on_request = true)
{
	struct vcpu *vcpu = boot(shutdown);
	struct kvm_regs regs = vcpu->loaded;

	vcpu_run_or_give_up(vcpu);
	expect_exit_reason(vcpu, KVM_EXIT_SHUTDOWN);
	x(vcpu, KVM_SET_SREGS, &vcpu->loaded_sregs);
	regs.rip = guest_symbol(vcpu, "alive");
	vcpu_set_regs(vcpu, regs);
	vcpu_run_or_give_up(vcpu);
	expect_exit_reason(vcpu, KVM_EXIT_HLT);
}

/* KVM warns of its own state: a kernel with panic_on_warn goes down. */
CASE(kvm_bugs, xen_event_without_a_shared_page, .contract = "xen.evtchn_send.refused",
     .on_request = true, .needs = { CAP_BITS(KVM_CAP_XEN_HVM, KVM_XEN_HVM_CONFIG_EVTCHN_SEND) })
{
	struct vcpu *vcpu = boot(shutdown);
	struct kvm_irq_routing_xen_evtchn event = {
		.port = 1, .priority = KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL
	};

	expect_errno(EINVAL, vcpu->vm, KVM_XEN_HVM_EVTCHN_SEND, &event);
}
