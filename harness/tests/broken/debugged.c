// SPDX-License-Identifier: MIT
/* For test_debugging.py: a case that fails with much of its guest still to run. */
#include "kvmspec.h"

GUEST_EACH_MODE(hello);
GUEST(real16, spin);

CASE(debugged, fails_at_the_second_letter, .each_mode = hello, .on_request = true)
{
	struct vcpu *vcpu = boot(guest);

	expect_run_text(vcpu, 0xe9, "Hi"); /* ends here */
}

/* Many exits, each with more than one trace event. */
CASE(debugged, runs_for_long, .on_request = true)
{
	struct vcpu *vcpu = boot(spin);

	vcpu->run->immediate_exit = 1;
	for (int i = 0; i < 1000; i++)
		expect_run_errno(vcpu, EINTR);
	fail("an end", "there is none"); /* ends here */
}

/* What --gdb needs of the host's KVM: where it is not so, the tests of it say it and skip. */

static void debug(struct vcpu *vcpu, uint32_t control, uint64_t breakpoint)
{
	x(vcpu, KVM_SET_GUEST_DEBUG,
	  &(struct kvm_guest_debug){
		  .control = KVM_GUESTDBG_ENABLE | control,
		  .arch.debugreg = { [0] = breakpoint, [7] = 0x401 }, /* DR0 only, local */
	  });
}

CASE(debugged, steps, .each_mode = hello, .on_request = true)
{
	struct vcpu *vcpu = boot(guest);

	debug(vcpu, KVM_GUESTDBG_SINGLESTEP, 0);
	expect_run_exit(vcpu, KVM_EXIT_DEBUG);
}

CASE(debugged, stops_at_breakpoints, .each_mode = hello, .on_request = true)
{
	struct vcpu *vcpu = boot(guest);

	debug(vcpu, KVM_GUESTDBG_USE_HW_BP, guest_symbol(vcpu, "next"));
	expect_run_exit(vcpu, KVM_EXIT_DEBUG);
}
