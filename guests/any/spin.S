/* SPDX-License-Identifier: MIT */
/* Counts for ever, and never exits by itself. */
#include "guest.h"

entry:
	incl	counter
	jmp	entry

	.data
	.balign 4
counter:
	.long	0
