/* SPDX-License-Identifier: MIT */
/* For two vCPUs, the second entered at `second`: each counts for ever in a variable of its own. */
#include "guest.h"

entry:
	incl	counter
	jmp	entry

	.globl	second
second:
	incl	counter_of_second
	jmp	second

	.data
	.balign 4
counter:
	.long	0
counter_of_second:
	.long	0
