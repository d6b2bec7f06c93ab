/* SPDX-License-Identifier: MIT */
/* Writes to a hole in the guest's memory for ever; sti for the reason in any/spin.S. */
#include "guest.h"

entry:
	sti
again:
	incl	counter
	movl	%eax, MMIO(0)
	jmp	again

	.data
	.balign 4
counter:
	.long	0
