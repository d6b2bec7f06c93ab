/* SPDX-License-Identifier: MIT */
/*
 * Counts for ever, and never exits by itself. With interrupts enabled: none can come, but Bochs 2.7
 * never takes a guest that spins without them out of VMX operation.
 */
#include "guest.h"

entry:
	sti
again:
	incl	counter
	jmp	again

	.data
	.balign 4
counter:
	.long	0
