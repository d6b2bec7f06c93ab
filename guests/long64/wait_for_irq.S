/* SPDX-License-Identifier: MIT */
/* Waits for an interrupt by a message to its local APIC, reports it, and waits for the next. */
#include "guest.h"
#include "exception.h"

#define VECTOR 0x21 /* as in cases/kick_latency.c */

/* Where harness/vm.h has the page tables; the third GiB has none yet. */
#define PDPT      0x71000
#define DIRECTORY 0x73000

#define APIC_BASE     0xfee00000
#define APIC_EOI      0xb0
#define APIC_SPURIOUS 0xf0
#define APIC_ENABLED  0x100
#define LARGE_PAGE    0x83 /* present, writable */
#define TABLE         0x03

entry:
	catch_exceptions
	lidt	idtr
	movq	$(DIRECTORY + TABLE), PDPT + (APIC_BASE >> 30) * 8
	movl	$(APIC_BASE + LARGE_PAGE), %eax
	movq	%rax, DIRECTORY + ((APIC_BASE >> 21) & 511) * 8
	movl	$APIC_BASE, %ebx
	movl	$(APIC_ENABLED + 0xff), APIC_SPURIOUS(%rbx)
	sti
wait:
	hlt
	jmp	wait

on_interrupt:
	report	$1
	movl	$0, APIC_EOI(%rbx)
	iretq

	.data
	.balign 16
idt:
	.rept	VECTOR + 1
	gate	on_interrupt
	.endr
idt_end:
idtr:
	.word	idt_end - idt - 1
	.quad	idt
