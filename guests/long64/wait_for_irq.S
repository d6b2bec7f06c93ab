/* SPDX-License-Identifier: MIT */
/* Waits for an interrupt of the in-kernel PIC's line 1, reports it, and waits for the next. */
#include "guest.h"
#include "exception.h"

#define PIC_COMMAND 0x20
#define PIC_DATA    0x21
#define PIC_BASE    0x20 /* vector of line 0 */

.macro pic port, value
	movb	$\value, %al
	outb	%al, $\port
.endm

entry:
	catch_exceptions
	lidt	idtr
	pic	PIC_COMMAND, 0x11 /* ICW1: begin; ICW4 follows */
	pic	PIC_DATA, PIC_BASE /* ICW2 */
	pic	PIC_DATA, 4 /* ICW3: the second PIC is at line 2 */
	pic	PIC_DATA, 3 /* ICW4: ends of interrupts by itself */
	pic	PIC_DATA, 0xfd /* only line 1 is let through */
	sti
wait:
	hlt
	jmp	wait

on_interrupt:
	report	$1
	iretq

	.data
	.balign 16
idt:
	.rept	PIC_BASE + 2
	gate	on_interrupt
	.endr
idt_end:
idtr:
	.word	idt_end - idt - 1
	.quad	idt

	.balign 4
	.globl	counter
counter:
	.long	0
