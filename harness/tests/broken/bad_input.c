// SPDX-License-Identifier: MIT
/* Tables of bad input, each with a row that does not hold. */
#include "kvmspec.h"

/* clang-format off */
CASE(bad_input, is_taken)
{
	expect_bad_input( /* ends here */
		RESULT(KVM_GET_MP_STATE, VCPU),
		BAD(KVM_GET_MP_STATE, VCPU, EINVAL, "nothing wrong", { 7 }));
}

CASE(bad_input, fails_with_another_errno)
{
	expect_bad_input( /* ends here */
		BAD(KVM_CREATE_IRQCHIP, VM | SPLIT_IRQCHIP | NO_VCPU, EINVAL, "an irqchip", { 0x12 }));
}

CASE(bad_input, is_not_taken)
{
	expect_bad_input( /* ends here */
		BAD_ADDRESS(KVM_GET_REGS, VCPU, 0, "an address that is not mapped", UNMAPPED));
}

CASE(bad_input, stops_the_guest)
{
	expect_bad_input( /* ends here */
		TAKEN(KVM_SET_GUEST_DEBUG, VCPU, "single steps",
		      { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP }));
}

CASE(bad_input, is_for_no_host)
{
	expect_bad_input( /* ends here */
		BAD_IF(CAP(0x7ffffff), KVM_RUN, VCPU, EINVAL, "nothing wrong", { 0 }));
}
/* clang-format on */
