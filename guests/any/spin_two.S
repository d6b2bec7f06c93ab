/* SPDX-License-Identifier: MIT */
/*
 * For two vCPUs, the second entered at `second`: each counts for ever in a variable of its own. With
 * interrupts enabled, for the reason in spin.S.
 */
#include "guest.h"

entry:
	sti
again:
	incl	counter
	jmp	again

	.globl	second
second:
	sti
second_again:
	incl	counter_of_second
	jmp	second_again

	.data
	.balign 4
counter:
	.long	0
counter_of_second:
	.long	0
