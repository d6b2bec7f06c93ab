// SPDX-License-Identifier: MIT
/* For test_debugging.py: a case that fails with much of its guest still to run. */
#include "kvmspec.h"

GUEST_EACH_MODE(hello);

CASE(debugged, fails_at_the_second_letter, .each_mode = hello, .on_request = true)
{
	struct vcpu *vcpu = boot(guest);

	expect_run_text(vcpu, 0xe9, "Hi"); /* ends here */
}
