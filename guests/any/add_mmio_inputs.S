/* SPDX-License-Identifier: MIT */
/* Adds up in EBX what it reads from the hole, for ever. */
#include "guest.h"

entry:
	ds_to_mmio
next:
	movl	MMIO(0), %eax
after_in:
	addl	%eax, %ebx
	jmp	next
