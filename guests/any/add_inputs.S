/* SPDX-License-Identifier: MIT */
/* Adds up in EBX what it reads from the report port, for ever. */
#include "guest.h"

entry:
	movw	$REPORT_PORT, %dx
next:
	inl	(%dx), %eax
after_in:
	addl	%eax, %ebx
	jmp	next
