/* SPDX-License-Identifier: MIT */
/*
 * For ever, without an exit: looks at the word at RDI and counts, or, from `change` on, counts in the
 * first word of each of RCX pages from RDI on, slowly: others have to look at them all the time. sti as
 * in any/spin.S.
 */
#include "guest.h"

entry:
	sti
look:
	movl	(%rdi), %eax
	movl	%eax, seen
	incl	counter
	jmp	look

change:
	sti
again:
	mov	%rdi, %rbx
	mov	%rcx, %rdx
next:
	incl	(%rbx)
	incl	counter
	movl	$200, %eax
1:
	dec	%eax
	jnz	1b
	add	$0x1000, %rbx
	dec	%rdx
	jnz	next
	jmp	again

	.data
	.balign 4
counter:
	.long	0
seen:
	.long	0
