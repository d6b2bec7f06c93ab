/* SPDX-License-Identifier: MIT */
/* Writes to each page from RBX on, below RCX, halts, and begins anew; sti as in any/spin.S. */
#include "guest.h"

entry:
	sti
	mov	%rbx, %rsi
next:
	incl	counter
	movb	$1, (%rsi)
	add	$4096, %rsi
	cmp	%rcx, %rsi
	jb	next
	hlt
	jmp	entry

	.data
	.balign 4
counter:
	.long	0
