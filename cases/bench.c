// SPDX-License-Identifier: MIT
/* What `make bench` times (ci/bench.py): the least that a case can do. Runs on request only. */
#include "kvmspec.h"

GUEST(real16, hlt_loop);

CASE(bench, boot_and_halt, .contract = "exit.hlt.userspace_irqchip", .on_request = true)
{
	struct vcpu *vcpu = boot(hlt_loop);

	expect_run_exit(vcpu, KVM_EXIT_HLT);
}
