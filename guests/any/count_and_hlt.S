/* SPDX-License-Identifier: MIT */
/* Counts how often it was about to halt, and halts again whenever it is resumed. */
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
