/* SPDX-License-Identifier: MIT */
/*
 * Takes interrupts at vector 0x20 and counts them in `interrupts`. Entered at `entry` it counts for
 * ever besides; at `halt` it halts, and halts again after each interrupt.
 */
#include "guest.h"
#include "exception.h"

#define VECTOR 0x20

.macro enable_interrupts
	lgdt	exception_gdtr
	lidt	idtr
	sti
.endm

entry:
	enable_interrupts
again:
	incl	counter
	jmp	again

halt:
	enable_interrupts
next_halt:
	hlt
	jmp	next_halt

interrupt:
	incl	interrupts
	iretq

	.data
	.balign 16
idt:
	.skip	VECTOR * 16
	gate	interrupt
idt_end:
idtr:
	.word	idt_end - idt - 1
	.quad	idt
	.balign 4
counter:
	.long	0
interrupts:
	.long	0
