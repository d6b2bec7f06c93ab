/* SPDX-License-Identifier: MIT */
/*
 * Counts for ever, and never exits by itself; `starts` is how often it was begun at its entry. With interrupts enabled: none can come, but Bochs 2.7
 * never takes a guest that spins without them out of VMX operation.
 */
#include "guest.h"

entry:
	sti
	incl	starts
again:
	incl	counter
	jmp	again

	.data
	.balign 4
counter:
	.long	0
starts:
	.long	0
