/* SPDX-License-Identifier: MIT */
/* For many vCPUs: each counts for ever in a variable of its own, counters[RDI]. */
#include "guest.h"

entry:
	sti
again:
	incl	counters(,%rdi,4)
	jmp	again

	.data
	.balign 4
counters:
	.skip	64 * 4 /* VCPUS_MAX in harness/vm.h */
