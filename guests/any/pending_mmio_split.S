/* SPDX-License-Identifier: MIT */
/* Reads EAX from the last two bytes of a page in the hole and the first two of the next one. */
#include "guest.h"

entry:
	ds_to_mmio
	movl	MMIO(0xffe), %eax
after:
	inc	CX
	hlt
