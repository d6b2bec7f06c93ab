/* SPDX-License-Identifier: MIT */
/* Counts, halts, and does so again whenever it is resumed: its first instruction leaves a trace. */
#include "guest.h"

entry:
	incl	counter
	hlt
after_hlt:
	jmp	entry

	.data
	.balign 4
counter:
	.long	0
