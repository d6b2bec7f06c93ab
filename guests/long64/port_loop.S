/* SPDX-License-Identifier: MIT */
/* Writes to a port for ever; sti for the reason in any/spin.S. */
#include "guest.h"

entry:
	sti
again:
	incl	counter
	outb	%al, $0xe9
	jmp	again

	.data
	.balign 4
counter:
	.long	0
